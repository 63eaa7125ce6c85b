// The built-in sample text: word lists and one grammar a genre (the language is explained in corpus_grammar.h).
#pragma once

#include <string_view>

namespace sixteen {

extern const std::string_view kWordsText;     // lists and small rules that all genres share
extern const std::string_view kNewsText;      // news briefs: fire, council, business, weather, court, science, arts
extern const std::string_view kHomeText;      // recipes and how-to articles
extern const std::string_view kPeopleText;    // letters, dialogues, diaries
extern const std::string_view kPlacesText;    // travel notes, town and company portraits, lives
extern const std::string_view kSportText;     // match reports
extern const std::string_view kReviewText;    // product and book reviews

}  // namespace sixteen
