// News briefs. Language: corpus_grammar.h.
#include "trainer/corpus_text.h"

namespace sixteen {

const std::string_view kNewsText = R"(
news:
  {!t=town}{!u=t:neighbour}{!m=t:mayor}{!p=person}{!q=person}{!d=date}{news.fire}
  {!t=town}{!u=t:neighbour}{!m=t:mayor}{!p=person}{!q=person}{!d=date}{news.council}
  {!c=company}{!t=c:town}{!u=t:neighbour}{!b=c:boss}{!p=person}{!q=person}{!d=date}{news.business}
  {!t=town}{!u=t:neighbour}{!m=t:mayor}{!p=person}{!q=person}{!d=date}{news.storm}
  {!t=town}{!u=t:neighbour}{!p=person}{!q=person}{!d=date}{news.court}
  {!t=town}{!u=t:neighbour}{!p=person}{!q=person}{!d=date}{news.science}
  {!t=town}{!u=t:neighbour}{!m=t:mayor}{!p=person}{!q=person}{!d=date}{news.arts}

gazette:
  {gazette.head} // {news.fire} // {gazette.next}{news.council} // {gazette.next}{news.arts}
  {gazette.head} // {news.council} // {gazette.next}{news.storm} // {gazette.next}{news.court}
  {gazette.head} // {news.storm} // {gazette.next}{news.fire} // {gazette.next}{news.science}
  {gazette.head} // {news.science} // {gazette.next}{news.arts} // {gazette.next}{news.council} // {gazette.next}{news.court}
gazette.head:
  {!t=town}{!u=t:neighbour}{!m=t:mayor}{!p=person}{!q=person}{!d=date}The {t} Gazette, {now}
gazette.next:
  {!p=person}{!q=person}{!d=date}

news.fire:
  {!n=3-48}{!f=fire.place}{!s=street}{fire.title} // {fire.lead} // {fire.middle} // {fire.quote} // {fire.more} // {fire.end}
  {!n=3-48}{!f=fire.place}{!s=street}{fire.title} // {fire.lead} // {fire.quote} // {fire.middle} // {fire.end}
fire.place = warehouse, bakery, hotel, barn, school, furniture store, paper mill, garage, farmhouse, theatre, flower shop, laundry
fire.title:
  Fire damages {f} in {t}
  {n:w} firefighters tackle blaze at {t} {f}
  Blaze at {t} {f} under control
fire.lead:
  A fire broke out at {a} {f} in {s}, {t}, on {d:weekday}, {d:day}. Nobody was [hurt|seriously injured|in the building].
  Firefighters from {t} and {u} were called to {a} {f} in {s} on {d:weekday} {daytime}. {n} firefighters fought the flames for {h=2-9:w} hours.
  {a} {f} in {t} was badly damaged by fire on {d:day}. The flames were first seen by {p}, {a} {p:job} who lives in {s}.
fire.middle:
  The {f} in {s} was built in {1840-1970} and is well known in {t}. [Most of|Half of|A large part of] the roof fell in, and the {masonry} walls are black with smoke. Water was pumped from the {t:river}, which runs behind the building.
  The alarm was raised at {1-12} o'clock by {p}, {p:age}, who saw smoke above the {f}. {p:he} woke the neighbours and led {2-9:w} people out of the houses next door. {p:last} is {a} {p:job} and has lived in {t} for {4-40} years.
  About {n} firefighters were at the {f}, some of them from {u}. They brought {2-7:w} engines and a long ladder. By {daytime} the fire was out, but the smell of smoke still hung over {s}.
fire.quote:
  "I saw the flames from my window," {say} {p:first} {p:last}. "At first I thought it was {a} {road.thing}. Then the windows of the {f} broke, and I ran."
  "We were lucky," {say} {q}, who leads the {t} fire service. "With a stronger wind the whole of {s} would have burned. My {n} people did {a} {adj.good} job."
  {q} of the fire service {say} that the cause was not yet known. "It may have been {a} [lamp|heater|candle|cable]," {q:last} added. "We shall look at the {f} again tomorrow."
fire.more:
  The mayor of {t}, {m}, thanked the firefighters and promised help for the owners of the {f}. "{t} looks after its people," {m:last} {say}.
  The damage is thought to be about {40-900*10},000 pounds. The owners hope to open the {f} again in {month}.
  It is the [second|third|fourth] fire in {s} this year. People there have asked the town for a new water main.
fire.end:
  {s} will stay closed until {weekday}. Buses between {t} and {u} will use {street} instead.
  Anyone who saw something near the {f} is asked to speak to the police in {t}.
  {p:last} was given {a} {object} and a cup of {drink} by the neighbours. "{p:he} is the hero of {s}," one of them said.

news.council:
  {!x=council.plan}{!s=street}{!n=120-960*10}{!v=7-19}{!w=2-6}{council.title} // {council.lead} // {council.why} // {council.against} // {council.end}
council.plan = a new library, a swimming pool, a cycle path, a footbridge over the river, a covered market, a bus station,
  a playground, a sports hall, a car park, a museum of local history, a community garden, a health centre, a primary school
council.title:
  {t} council votes for {x}
  {t} to get {x}
  Plan for {x} divides {t}
council.lead:
  The council of {t} decided {when} to build {x} in {s}. The vote was {v} to {w}. The work will cost about {n},000 pounds.
  After a debate of {2-6:w} hours, {t} council agreed to spend {n},000 pounds on {x}. {v} members voted for the plan and {w} against it.
council.why:
  The mayor, {m}, called it {a} {adj.good} day for the town. "People have asked for {x} since {1975-1989}," {m:he} {say}. "Today {v} members of this council listened."
  "{t} has {t:pop} people, and they deserve {x}," {say} the mayor, {m}. {m:he} pointed out that {u} had built one {ago}.
  {m:last}, who was {a} {p:job} before {m:he} became mayor, promised that {x} would be ready by {month}. The money will come from [the region of {t:region}|a loan|the sale of an old {building}|a tax on parking].
council.against:
  {p}, who voted against the plan, {say} that {n},000 pounds was too much. "We could mend every road in {t} for that," {p:he} told the meeting. "And {s} is the wrong place."
  Not everyone is happy. {p}, {a} {p:job} from {s}, fears the noise. "I moved here for the quiet," {p:last} {say}. "Now I shall live next to {x}."
  One of the {w} who voted against was {p}. {p:he} wanted the money for the old {building}, which has been empty since {1990-2005}.
council.end:
  Work is to begin on {d:day}. Until then the plans can be seen in the town hall of {t}.
  The council meets again on {weekday}. It will then talk about parking, {weather.noun} damage and the {animal:s} in the park.
  {q} of the {t} history society hopes that nothing old will be lost. "There was {a} {building} in {s} in {t:founded}," {q:last} {say}. "We should look before we dig."

news.business:
  {!n=10-90*5}{!y=2-19}{business.title} // {business.lead} // {business.facts} // {business.quote} // {business.worker} // {business.end}
  {!n=10-90*5}{!y=2-19}{business.title} // {business.lead} // {business.quote} // {business.facts} // {business.end}
business.title:
  {c} to hire {n} people in {t}
  {c} opens new works in {u}
  Sales of {c:makes} lift {c}
business.lead:
  {c}, which makes {c:makes} in {t}, will take on {n} new workers this {season}. Sales rose by {y} per cent last year.
  The {t} company {c} is to open a second plant in {u}. It will make {c:makes} there and give work to {n} people.
  A good year for {c:makes} has helped {c}. The firm from {t} sold {y} per cent more than the year before and plans {n} new jobs.
business.facts:
  {c} was founded in {t} in {c:founded}. It has about {c:staff} workers and is led by {b}, who has worked there for {5-30} years. Most of its {c:makes} are sold [at home|abroad|in the north|in the large cities].
  The firm has made {c:makes} since {c:founded}. In {t} alone it employs {c:staff} people, and many families have worked for {c} for three generations.
business.quote:
  "People want {adj.good} {c:makes} and they are ready to pay for them," {say} {b}, who runs the company. "We could not be more {adj.mood}."
  {b}, the head of {c}, was {adj.mood}. "It is not luck," {b:he} {say}. "We listen to our customers, and we use better {material}."
  "We looked at {2-9:w} towns and chose {u}," {say} {b:last}. "It has {u:famous}, a good road to {t}, and people who want to work."
business.worker:
  {p}, who joined {c} as {a} {p:job} {ago}, is pleased. "When I came, the old machines broke every week," {p:he} {say}. "Now {n} more people will have what I have."
  Not all are convinced. {p} of the workers' union {say} that pay had risen by only {1-2} per cent while sales went up by {y}. "We will talk to {b:last} about that," {p:he} added.
business.end:
  The new workers will start on {d:day}. Letters should be sent to {c}, {street}, {t}.
  Shares in {c} rose by {2-12} per cent {when}.
  {c} also makes [parts for tractors|small engines|wooden boxes|packing paper], but {c:makes} bring in most of its money.

news.storm:
  {!k=storm.kind}{!n=40-120*5}{!h=200-5000*100}{storm.title} // {storm.lead} // {storm.damage} // {storm.people} // {storm.end}
storm.kind = storm, snowstorm, flood, gale, thunderstorm, hailstorm, heavy frost
storm.title:
  {k} leaves {h} homes in {t} without power
  {t} cleans up after {k}
  {t:region} hit by {k}
storm.lead:
  {a} {k} swept over {t:region} {when} and left {h} homes in {t} and {u} without electricity. Wind speeds of {n} miles an hour were measured at {t} {building}.
  People in {t} are cleaning up after {a} {k} that reached the town on {d:weekday}, {d:day}. About {h} homes had no power for {3-20} hours.
storm.damage:
  In {street} {a} {tree} fell on {a} {road.thing}, and in {street} the roof of the {building} was torn off. The {t:river} rose by {2-9:w} feet and reached the doors of the houses beside it.
  The railway line between {t} and {u} was blocked by {2-20:w} fallen {tree:s}. Trains were stopped until {weekday}. At the {building} the windows were broken by the {weather.noun}.
  The {t:river} left its banks at {2-11} o'clock and ran through {street}. {animal:s} had to be carried out of {a} barn, and the {building} stood in water.
storm.people:
  "I have lived in {t} for {20-60} years and have never seen such {a} {k}," {say} {p}, {p:age}, {a} retired {p:job}. {p:he} spent the night [in the cellar|at the school|with {p:his} neighbours|on a chair in the kitchen].
  {q} and {p} were on the way home when the {k} began. "We could not see the road," {say} {q:last}. "{p:first} drove {adv.way}, and we reached the {building} just in time."
  The mayor of {t}, {m}, walked through the town with {a} lantern. "The {k} took roofs, but nobody was lost," {m:he} {say}. "That is what counts."
storm.end:
  The weather office expects {weather.noun} until {weekday}, but no second {k}.
  Blankets and {drink} can be had at the {building} in {street}. The school in {t} stays closed for {2-5:w} days.
  In {u} the damage was small. {q}, who keeps the weather records there, measured only {20-38} miles an hour.

news.court:
  {!o=object}{!n=20-900*10}{!s=street}{court.title} // {court.lead} // {court.story} // {court.witness} // {court.end}
court.title:
  {t} court hears case of the missing {o}
  Man accused of taking {o} walks free in {t}
  {p:last} tells court about stolen {o}
court.lead:
  A court in {t} heard on {d:weekday} how {a} {adj.look} {o} worth {n} pounds disappeared from a house in {s}.
  The strange case of {a} {adj.look} {o} came before the court in {t} on {d:day}. It belongs to {p}, {a} {p:job} from {s}, and is worth {n} pounds.
court.story:
  {p}, {p:age}, told the court that {p:he} had left the {o} on {a} {furniture} in the hall. When {p:he} came back from {u} at {2-11} o'clock, the door was open and the {o} was gone.
  The {o} had been in the family of {p} for {40-150} years. {p:he} missed it {when}, after a visit by {2-6:w} men who had come to mend the {furniture}.
court.witness:
  {q}, {a} {q:job} who lives opposite, saw a man in {a} {colour} coat. "He carried something under his arm," {q:he} {say}. "I thought it was {a} {object}, but it may have been the {o}."
  The accused, {a} man of {19-70}, {say} that he had bought the {o} in {u} for {5-60} pounds. The judge asked him for a receipt. He had none.
court.end:
  The judge believed {q:last} and sent the man to prison for {2-18} months. The {o} was given back to {p:last}.
  The man was set free, since nobody could prove that the two {o:s} were the same. {p:last} left the court without a word.
  The case goes on on {weekday}. The judge wants to see the {o} for himself.

news.science:
  {!x=science.find}{!n=300-4800*100}{!k=2-30}{science.title} // {science.lead} // {science.how} // {science.quote} // {science.end}
science.find = Roman coins, clay pots, bones of a bear, a stone axe, a wooden boat, a bronze helmet, a painted wall,
  glass beads, the walls of a mill, an iron sword, a well, a burial mound, fossils of sea snails
science.title:
  Researchers find {x} near {t}
  {x} found in field by {t} {p:job}
  What the ground under {t} hides
science.lead:
  Researchers have found {x} {2-9:w} miles from {t}. The find is thought to be {n} years old.
  {p}, {a} {p:job} from {t}, was digging in {p:his} garden when {p:he} found {x}. Experts believe that the find is {n} years old.
science.how:
  The work began in {month} and was led by {q} of the university of {u}. A team of {k} people dug for {2-9:w} weeks beside the {t:river}. {x} lay {2-12:w} feet below the grass.
  {q}, who teaches {subject} in {u}, came the same {daytime}. {q:he} brought {k} students, {2-6:w} tents and a great deal of {drink}. Within {2-9:w} days they had found {x} and part of {a} road.
science.quote:
  "We did not expect {x} so far [north|west|from the sea]," {say} {q:last}. "Now we must ask who lived near {t} {n} years ago, and what they ate."
  "It changes what we know about {t:region}," {say} {q}. "The town was founded in {t:founded}, or so we thought. But people were here {n} years ago."
science.end:
  {x} will be shown in the museum of {t} from {d:day}. Tickets cost {2-9:w} pounds, and children pay nothing.
  The team of {k} will come back next {season}. Until then the field is closed, and {a} {animal} keeps watch.
  {p:last} has been given {a} {object} with {p:his} name on it. "I only wanted to plant {flower:s}," {p:he} {say}.

news.arts:
  {!k=arts.kind}{!x=arts.title}{!n=60-900*10}{!s=street}{arts.head} // {arts.lead} // {arts.about} // {arts.view} // {arts.end}
arts.kind = play, opera, musical, exhibition, concert, film, puppet show, ballet
arts.title:
  "The {colour} {object}"
  "{season} in {u}"
  "The {animal} and the {animal}"
  "{a} {object} for {p:first}"
  "The House in {street}"
arts.head:
  {t} welcomes {x}
  New {k} by {p} opens in {t}
arts.lead:
  A new {k} called {x} opened in {t} {when}. It was written by {p}, who lives in {u}. {n} people came to the first night.
  {n} people filled the hall in {s}, {t}, to see {x}, {a} {k} by {p}.
arts.about:
  {x} tells the story of {a} {adj.mood} {q:job} who finds {a} {object} and cannot forget it. The main part is played by {q}, who was last seen in {t} {ago}.
  In {x}, {p:last} looks at {feeling} and {feeling}. {q} appears as {a} {adj.mood} {p:job}, and the music is by a band from {u}.
arts.view:
  The {k} is {adv.much} {adj.good}, though the second half is {a} little long. {q} was {adj.good}, and when {q:he} dropped the {object}, nobody laughed.
  "I worked on it for {2-9:w} years," {say} {p}. "It began as a letter to my {relative.f}." People clapped for {3-9:w} minutes.
  Some left early. The {furniture:s} on the stage were {adj.look}, the light was {adj.bad}, and the story of {x} is hard to follow. But {q:last} is always worth seeing.
arts.end:
  {x} can be seen in {s} until {d:day}. Tickets are {4-30} pounds.
  The mayor, {m}, was there too. "{t} needs more evenings like this," {m:he} {say}.
)";

}  // namespace sixteen
