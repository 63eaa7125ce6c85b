// Travel notes and portraits of towns, companies and people of the made-up world. Language: corpus_grammar.h.
#include "trainer/corpus_text.h"

namespace sixteen {

const std::string_view kPlacesText = R"(
travel:
  {!t=town}{!u=t:neighbour}{!p=person}{!q=person}{!s=street}{!b=building}{!n=2-9}{!h=20-180*5}{!f=food}{!k=animal}{travel.text}
travel.text:
  {travel.title} // {travel.way} // {travel.first} // {travel.stay} // {travel.walk} // {travel.people} // {travel.end}
  {travel.title} // {travel.way} // {travel.stay} // {travel.first} // {travel.people} // {travel.walk} // {travel.end}
travel.title:
  {n:w} days in {t}
  {a} {season} visit to {t}
  {t}: {t:famous} and a good bed
  On foot from {u} to {t}
travel.way:
  We took the train from {u} in the {daytime}. The journey to {t} lasts {h} minutes and follows the {t:river} most of the way. {weather.line}.
  {t} lies in {t:region}, on the {t:river}, {h} minutes by bus from {u}. It has {t:pop} people and is known for {t:famous}. We came {when} and stayed for {n:w} days.
  There are two ways to reach {t} from {u}: the fast road and the slow one. We chose the slow one, through {2-6:w} villages and a wood of {tree:s}. After {h} minutes we saw the roofs of the town.
travel.first:
  The first thing that you see is the {b} in {s}. It is {adj.size} and {adj.look}, and {a} {k} sleeps on its steps. From there it is not far to the river.
  Everyone comes to {t} for {t:famous}. [It is {adv.much} {adj.good}|It is well worth the journey|We were not disappointed], but do not miss the {b}, which stands in {s} and was built of {masonry} in {1500-1900}.
travel.stay:
  We stayed at a small hotel in {s}, kept by {p}. A room costs {30-140*5} pounds with breakfast. There was {f} every morning, {adj.good} {drink}, and {a} {colour} {furniture} on which nobody was allowed to sit.
  The inn of {p} has {4-30} rooms. Ours looked out on the {b} and had {a} {adj.look} {furniture}, {a} {adj.look} {furniture} and no heating. In the evening {p:first} brought us {f} without being asked.
travel.walk:
  On the second day we walked along the {t:river} to an old mill. It is {n} miles there and back. {scene}. We met {a} {q:job} called {q}, who showed us where the {animal:s} drink.
  A path leads from {s} up to a hill with {a} {adj.look} {tree}. From the top you can see as far as {u}. We sat there for {h} minutes, ate {food}, and did not say a word.
  It rained on the second day, so we went to the museum. It has {a} {adj.look} {object} from {t:founded}, the year in which {t} was founded, and {20-300} kinds of {animal}.
travel.people:
  The people of {t} are {adj.mood} and like to talk. {q}, {a} {q:job}, told us that the mayor, {t:mayor}, can be met at the market every {weekday}. We did not see {t:mayor}, but we saw {a} {animal} wearing a hat.
  "Why do you want to go back to {u}?" asked {p}. "It has nothing that we do not have." We said that we had to work. "So do I," said {p:first}, and brought more {f}.
travel.end:
  If you have only one day, see {t:famous}, eat {f} in {s}, and take the last train. If you have {n:w}, do as we did.
  On the last {daytime} we bought {a} {object} at the {b}. It stands on our {furniture} now. When I look at it, I hear the {t:river}.
  We shall come back. As {p:last} says: {thought}.

portrait:
  {!t=town}{!u=t:neighbour}{!m=t:mayor}{!c=company}{!g=t:team}{portrait.town}
  {!c=company}{!t=c:town}{!b=c:boss}{!q=person}{portrait.company}
  {!p=person}{!t=p:town}{!c=p:company}{!q=p:friend}{portrait.life}
album:
  {!p=person}{!t=p:town}{!c=p:company}{!q=p:friend}{portrait.life} // {!t=c:town}{!b=c:boss}{!q=person}{portrait.company} // {!u=t:neighbour}{!m=t:mayor}{!g=t:team}{portrait.town}
  {!t=town}{!u=t:neighbour}{!m=t:mayor}{!g=t:team}{portrait.town} // {!p=t:mayor}{!t=p:town}{!c=p:company}{!q=p:friend}{portrait.life} // {!p=p:friend}{!t=p:town}{!c=p:company}{!q=p:friend}{portrait.life}
portrait.town:
  {t} // {town.one} // {town.two} // {town.three} // {town.four}
town.one:
  {t} is a town in {t:region}. It lies on the river {t:river} and has {t:pop} people. The town is known for {t:famous}.
  {t} is a town of {t:pop} people on the river {t:river} in {t:region}. It was founded in {t:founded} and is best known for {t:famous}.
town.two:
  The town was founded in {t:founded}. For a long time its people lived from [fishing|farming|wool|the mills|salt|the market]. The first bridge over the {t:river} was built of {masonry} in {1500-1800}, and the railway from {u} came in {1840-1899}.
  The oldest building in {t} is the {z=building} in {street}. A great fire in {1600-1790} destroyed the houses around it, but the {z} was saved. The railway to {u} was opened in {1840-1899}.
town.three:
  The mayor of {t} is {m}, who was born in {m:born} and worked as {a} {m:job} before. The town is a partner of {u}, which is also in {u:region}. There are {2-9:w} schools, a library and {1-4:w} cinemas.
  Since {now:year} the mayor has been {m}. {m:he} is {a} {m:job} and likes {m:hobby}. The nearest larger town is {u} with {u:pop} people, known for {u:famous}.
town.four:
  Football is played by {g}, who were founded in {g:founded} and play at {g:ground}. Their coach is {g:coach}. Visitors come for {t:famous}, above all in {season}.
  People in {t} like to eat {food} with {drink}. Every {season} there is a market at which {object:s}, {flower:s} and {animal:s} are sold. The local football team, {g}, plays at {g:ground}.
portrait.company:
  {c} // {firm.one} // {firm.two} // {firm.three} // {firm.four}
firm.one:
  {c} is a company in {t} that makes {c:makes}. It was founded in {c:founded} and has about {c:staff} workers.
  {c}, based in {t} in {t:region}, has made {c:makes} since {c:founded}. It employs about {c:staff} people.
firm.two:
  It began in {a} {building} in {street} with {2-9:w} workers and one machine. In the first year it sold only {20-200*10} pieces. The breakthrough came in {1950-1975}, when {c} began to use {material}.
  The founder was {a} {adj.mood} {q:job} who had come to {t} from {town}. {c} made {object:s} at first; {c:makes} came later, and they were {adv.much} better.
firm.three:
  The head of the company is {b}. {b:he} was born in {b:born} and is {a} {b:job} by training. "{c:makes} are like {flower:s}," {b:he} once said. "They need care every day."
  {b} has led {c} for {3-25:w} years. Under {b:him} sales have doubled. {b:last} lives in {b:town} and comes to work by {road.thing}.
firm.four:
  The {c:makes} of {c} are sold in {10-60} countries. A museum in {t} shows the oldest of them beside {a} {colour} {object} that belonged to the founder.
  {c} gives money to the school and the library of {t}. Every {month} it opens its doors, and anyone may see how {c:makes} are made.
portrait.life:
  {p} // {life.one} // {life.two} // {life.three} // {life.four}
life.one:
  {p} is {a} {p:job} from {t}. {p:he} was born in {p:born} and works for {c}.
  {p}, born in {p:born}, is {a} {p:job} with {c}. {p:he} lives in {t}, on the river {t:river}.
life.two:
  {p:he} grew up near the {building} in {street}, where {p:his} {relative.f} sold {object:s}. At school {p:he} was good at {subject} and bad at {subject}. When {p:he} was {14-19}, {p:he} left {t} for {town}, but {p:he} came back {2-9:w} years later.
  As a child {p:he} wanted to be {a} {q:job}. {p:his} {relative.m}, however, found {p:him} a place at {c}, which makes {c:makes}. {p:he} has been there for {5-25} years.
life.three:
  {p:his} closest friend is {q}, {a} {q:job} from {q:town}. They share an interest in {p:hobby} and meet every {weekday}. Together they once walked from {t} to {q:town} with {a} {animal} and {a} {object}.
  In {p:his} free time {p:last} is known for {p:hobby}. In {now:year} {p:he} won {a} {object} for it. {q}, {p:his} friend, who likes {q:hobby}, says that it was deserved.
life.four:
  "I have all I want," {p:he} says. "{c} pays me, {t} feeds me, and {q:first} makes me laugh."
  {p:last} is {p:age} now and does not think of stopping. {p:he} believes that {thought}.
)";

}  // namespace sixteen
