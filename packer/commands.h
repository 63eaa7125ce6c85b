// The subcommands of sixteen-pack, each in a file of its own (cmd_NAME.cpp).
#pragma once

namespace CLI {
class App;
}

namespace sixteen {

void add_pack_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_audit_command(CLI::App& app);
void add_export_command(CLI::App& app);
void add_import_command(CLI::App& app);
void add_bundle_command(CLI::App& app);
void add_source_command(CLI::App& app);

}  // namespace sixteen
