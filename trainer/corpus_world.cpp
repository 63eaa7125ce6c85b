// See corpus_world.h. The lists are short on purpose: names recur, so that a small model can learn them.
#include "trainer/corpus_world.h"

#include <algorithm>
#include <string_view>

namespace sixteen {
namespace {

constexpr uint64_t kWorldSeed = 20240520;
constexpr int kPeople = 480, kTowns = 150, kCompanies = 160;

constexpr std::string_view kWomen = R"(Alice, Amelia, Anna, Barbara, Beatrice, Bridget, Carol, Catherine, Charlotte,
    Clara, Daisy, Diana, Dorothy, Edith, Eleanor, Elizabeth, Ella, Emily, Emma, Esther, Fiona, Florence, Frances,
    Grace, Hannah, Harriet, Helen, Ida, Irene, Isabel, Jane, Jessica, Joan, Julia, Karen, Kate, Laura, Lena, Lillian,
    Louise, Lucy, Mabel, Margaret, Maria, Martha, Mary, Matilda, Maya, Miriam, Nancy, Naomi, Nina, Nora, Olive,
    Olivia, Pamela, Patricia, Paula, Rachel, Rebecca, Rosa, Ruth, Sally, Sarah, Sofia, Stella, Susan, Sylvia, Teresa,
    Vera, Victoria, Violet, Aisha, Astrid, Camille, Chiara, Elena, Fatima, Greta, Ingrid, Leila, Mei, Nadia, Priya,
    Rosalind, Sabine, Yasmin, Yuki, Zofia)";
constexpr std::string_view kMen = R"(Adam, Albert, Alan, Andrew, Anthony, Arthur, Benjamin, Bernard, Brian, Carl,
    Charles, Christopher, Colin, Daniel, David, Dennis, Donald, Douglas, Edgar, Edward, Eric, Ernest, Felix, Francis,
    Frank, Frederick, George, Gerald, Gilbert, Gordon, Graham, Harold, Harry, Henry, Howard, Hugh, Ian, Isaac, Jack,
    Jacob, James, John, Jonathan, Joseph, Julian, Keith, Kenneth, Lawrence, Leonard, Lewis, Louis, Luke, Mark,
    Martin, Matthew, Michael, Nathan, Neil, Nicholas, Oliver, Oscar, Patrick, Paul, Peter, Philip, Ralph, Raymond,
    Richard, Robert, Roger, Samuel, Simon, Stephen, Theodore, Thomas, Victor, Walter, William, Ahmed, Andre, Carlos,
    Diego, Dmitri, Emil, Giovanni, Hassan, Hiroshi, Ivan, Johan, Kofi, Mateo, Mehmet, Nils, Omar, Pedro, Ravi,
    Stefan, Tomas)";
constexpr std::string_view kLast = R"(Abbott, Adler, Ainsworth, Archer, Baker, Banks, Barlow, Barrett, Bennett,
    Bishop, Blake, Booth, Bradley, Briggs, Brooks, Burke, Butler, Carter, Chapman, Clarke, Coleman, Collins, Cooper,
    Crawford, Dawson, Dixon, Doyle, Drummond, Duncan, Ellis, Farrell, Fenton, Fisher, Fleming, Foster, Fowler,
    Gardner, Gibson, Goodwin, Graves, Griffin, Hale, Hammond, Harding, Harper, Hayes, Holloway, Hopkins, Hudson,
    Hughes, Hunter, Jarvis, Jennings, Keller, Kerr, Knight, Lambert, Lawson, Lindgren, Lowe, Marsh, Mason, Mercer,
    Mills, Moreno, Morrow, Murphy, Nash, Newton, Norris, Novak, Okafor, Palmer, Parker, Patel, Pearce, Perry, Porter,
    Quinn, Ramsey, Reed, Reyes, Rhodes, Rossi, Rowe, Saunders, Sharp, Shaw, Silva, Singh, Sinclair, Slater, Spencer,
    Stone, Sutton, Tanaka, Thorne, Tucker, Turner, Vance, Wallace, Walsh, Warren, Watts, Webb, Weber, West, Whitaker,
    Winters, Wolfe, Wright, Yates, Young, Almeida, Andersson, Bauer, Becker, Bianchi, Castillo, Chandra, Chen, Costa,
    Dubois, Eriksen, Fernandez, Fischer, Fontaine, Garcia, Haddad, Hansen, Herrera, Hoffman, Ivanov, Jansen, Kaplan,
    Khan, Kim, Kovacs, Larsen, Leclerc, Lopez, Martinez, Mehta, Mendoza, Moreau, Nakamura, Nguyen, Nielsen, Olsen,
    Ortega, Petrov, Popescu, Rahman, Ramos, Romano, Santos, Sato, Schmidt, Suzuki, Torres, Vargas, Wagner, Zimmer)";
constexpr std::string_view kTownHead = R"(Ash, Bram, Brook, Cald, Clay, Crow, Deep, Elm, Fair, Fern, Gold, Green,
    Hart, Hazel, Hol, Kings, Lang, Lin, Maple, Mill, North, Oak, Old, Raven, Red, Rock, Silver, South, Stan, Thorn,
    Wake, West, White, Wind, Win, Wood, Alder, Barn, Beck, Birch, Black, Bright, Castle, Clif, Cold, Cran, Drake,
    Dun, East, Fox, Glen, Grim, Heath, High, Iron, King, Lake, Long, Marsh, Moor, Net, Pen, Quarn, Rose, Salt, Shep,
    Stone, Swan, Tam, Up, Vine, Wold, Yar)";
constexpr std::string_view kTownTail = R"(bridge, bury, bourne, burn, by, combe, dale, field, ford, ham, ley, mere,
    port, stead, stow, ton, well, wick, worth)";
constexpr std::string_view kRegions = R"(Harrowshire, Lorvale, Eastmarch, Penwick, Dunmoor, Westerland)";
constexpr std::string_view kRivers = R"(Arle, Brend, Corrow, Dove, Esk, Farrow, Glint, Harl, Isen, Kell, Lorne,
    Marrow)";
constexpr std::string_view kFamous = R"(the old stone bridge, the cathedral, the apple orchards, the cheese market,
    the annual kite festival, the glass works, the harbour, the clock tower, the botanical garden, the wool trade,
    the river races, the university, the salt mines, the jazz festival, the honey, the lighthouse, the pottery,
    a famous battle, the railway museum, the hot springs, the covered market, the windmills, the book fair,
    the slate quarries)";
constexpr std::string_view kJobs = R"(teacher, nurse, engineer, carpenter, journalist, librarian, farmer, baker,
    surgeon, lawyer, electrician, gardener, musician, photographer, accountant, architect, bus driver, chef, chemist,
    dentist, firefighter, historian, mechanic, painter, pilot, plumber, police officer, potter, postal worker,
    programmer, sailor, shopkeeper, tailor, translator, vet, welder, actor, astronomer, barber, beekeeper,
    blacksmith, bookseller, bricklayer, butcher, clockmaker, dancer, driver, editor, fisherman, florist, geologist,
    glazier, hairdresser, interpreter, janitor, jeweller, judge, locksmith, mathematician, miller, optician,
    pharmacist, poet, priest, salesman, secretary, shepherd, soldier, surveyor, waiter, weaver, writer)";
constexpr std::string_view kHobbies = R"(chess, fishing, gardening, sailing, knitting, cycling, choir singing,
    bird watching, painting, hiking, baking, old clocks, astronomy, swimming, photography, woodwork, beekeeping,
    crosswords, archery, billiards, ballroom dancing, calligraphy, card games, climbing, coin collecting, embroidery,
    family history, folk music, kite flying, magic tricks, model railways, mushroom picking, old maps, origami,
    poetry, pottery, riding, rowing, skating, skiing, stamp collecting, table tennis, winemaking, yoga)";
constexpr std::string_view kMakes = R"(bicycles, furniture, kitchen knives, garden tools, radios, chocolate, paper,
    glass bottles, raincoats, ovens, pumps, toys, shoes, lamps, tractors, paint, batteries, cheese, carpets, clocks,
    tents, soap, engines, cameras, bread, bricks, boats, pianos, locks, headphones, ropes, umbrellas, mattresses,
    spectacles, violins, tiles, envelopes, candles, gloves, fireworks, scales, ladders, telephones, wallpaper,
    mirrors, lifts, scissors, buttons, biscuits, jam, ink, skis, kettles, sewing machines, thermometers)";
constexpr std::string_view kCompanyTail = R"(and Sons, Brothers, Works, Limited, Industries, and Company, Group)";
constexpr std::string_view kTeamTail = R"(United, Rovers, Town, Athletic, Wanderers, City, Albion)";
constexpr std::string_view kGrounds = R"(Park, Lane, Road, Stadium, Meadow, Field, Street)";

// The entries of a list whose lines end in a comma.
std::vector<std::string> entries(std::string_view text) {
  std::vector<std::string> list;
  while (!text.empty()) {
    text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
    const size_t end = std::min(text.find(','), text.size());
    list.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return list;
}

const std::string& pick(Dice* dice, const std::vector<std::string>& list) {
  return list[dice->below(static_cast<uint32_t>(list.size()))];
}

// Draws names until one is new: two things of one name would make two facts of one.
template <class List, class Member, class Draw>
void name_apart(const List& list, Member member, std::string* name, Draw draw) {
  do {
    *name = draw();
  } while (std::any_of(list.begin(), list.end(), [&](const auto& other) { return other.*member == *name; }));
}

void make_people(Dice* dice, SampleWorld* world) {
  const auto women = entries(kWomen), men = entries(kMen), last = entries(kLast);
  const auto jobs = entries(kJobs), hobbies = entries(kHobbies);
  for (int i = 0; i < kPeople; ++i) {
    Person person;
    person.woman = dice->below(2) == 0;
    name_apart(world->people, &Person::full, &person.full, [&] {
      person.first = pick(dice, person.woman ? women : men);
      person.last = last[i % last.size()];
      return person.first + " " + person.last;
    });
    person.job = pick(dice, jobs);
    person.hobby = pick(dice, hobbies);
    person.born = 1935 + static_cast<int>(dice->below(38));
    person.town = static_cast<int>(dice->below(kTowns));
    person.company = static_cast<int>(dice->below(kCompanies));
    person.friend_index = (i + 1 + static_cast<int>(dice->below(kPeople - 1))) % kPeople;
    world->people.push_back(person);
  }
}

void make_towns(Dice* dice, SampleWorld* world) {
  const auto heads = entries(kTownHead), tails = entries(kTownTail), famous = entries(kFamous);
  const auto regions = entries(kRegions), rivers = entries(kRivers);
  for (int i = 0; i < kTowns; ++i) {
    Town town;
    const std::string& head = heads[i % heads.size()];
    name_apart(world->towns, &Town::name, &town.name, [&] {
      std::string name;
      do {  // Ashham and Oakkley would be hard to read
        name = head + pick(dice, tails);
      } while (name[head.size()] == head.back());
      return name;
    });
    town.region = regions[i % regions.size()];
    town.river = rivers[i * 5 % rivers.size()];
    town.famous = pick(dice, famous);
    town.population = 1200 + 100 * static_cast<int>(dice->below(i % 4 == 0 ? 2400 : 300));
    town.founded = 850 + static_cast<int>(dice->below(950));
    town.mayor = static_cast<int>(dice->below(kPeople));
    town.neighbour = (i + kTowns / 2 / 6 * 6) % kTowns;  // of the same region
    town.team = i / 3;
    world->towns.push_back(town);
  }
}

void make_companies_and_teams(Dice* dice, SampleWorld* world) {
  const auto last = entries(kLast), makes = entries(kMakes), grounds = entries(kGrounds);
  const auto company_tails = entries(kCompanyTail), team_tails = entries(kTeamTail);
  for (int i = 0; i < kCompanies; ++i) {
    Company company;
    name_apart(world->companies, &Company::name, &company.name,
               [&] { return last[(i * 7 + 3) % last.size()] + " " + pick(dice, company_tails); });
    company.makes = pick(dice, makes);
    company.founded = 1840 + static_cast<int>(dice->below(150));
    company.staff = 20 + 10 * static_cast<int>(dice->below(180));
    company.town = static_cast<int>(dice->below(kTowns));
    company.boss = static_cast<int>(dice->below(kPeople));
    world->companies.push_back(company);
  }
  for (int i = 0; i < kTowns / 3; ++i) {
    Team team;
    team.town = 3 * i;
    team.name = world->towns[team.town].name + " " + pick(dice, team_tails);
    team.ground = pick(dice, last) + " " + pick(dice, grounds);
    team.founded = 1880 + static_cast<int>(dice->below(60));
    team.coach = static_cast<int>(dice->below(kPeople));
    team.star = static_cast<int>(dice->below(kPeople));
    world->teams.push_back(team);
  }
}

}  // namespace

const SampleWorld& sample_world() {
  static const SampleWorld world = [] {
    SampleWorld made;
    Dice dice(kWorldSeed, 0);
    make_people(&dice, &made);
    make_towns(&dice, &made);
    make_companies_and_teams(&dice, &made);
    return made;
  }();
  return world;
}

}  // namespace sixteen
