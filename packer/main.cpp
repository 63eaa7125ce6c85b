// sixteen-pack: checkpoint -> artifact, and what is in any of our files.
#include "model/console.h"
#include "packer/commands.h"

int main(int argc, char** argv) {
  return sixteen::run_main("sixteen-pack", "Packs checkpoints into artifacts and shows what files hold.", argc, argv,
                           [](CLI::App& app) {
                             sixteen::add_pack_command(app);
                             sixteen::add_inspect_command(app);
                             sixteen::add_audit_command(app);
                             sixteen::add_export_command(app);
                             sixteen::add_import_command(app);
                             sixteen::add_bundle_command(app);
                             sixteen::add_source_command(app);
                           });
}
