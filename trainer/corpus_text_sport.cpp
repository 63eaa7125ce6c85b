// Match reports. Scores add up: half-time and final results are computed. Language: corpus_grammar.h.
#include "trainer/corpus_text.h"

namespace sixteen {

const std::string_view kSportText = R"(
season.report:
  {match} // {!h=team}{!q=h:star}{!r=person}{!k=h:coach}{!a1=1-2}{!b1=0-0}{!a2=0-2}{!b2=0-1}{!x=a1+a2}{!y=b1+b2}{!m=4-30}{!n=31-44}{!z=300-9000*50}{match.won} // {!h=team}{!q=h:star}{!r=person}{!k=h:coach}{!a1=0-0}{!b1=1-2}{!a2=0-0}{!b2=0-2}{!x=a1+a2}{!y=b1+b2}{!m=4-40}{!n=46-88}{!z=300-9000*50}{match.lost}
  {match} // {!h=team}{!q=h:star}{!r=person}{!k=h:coach}{!a1=1-1}{!b1=0-0}{!a2=0-0}{!b2=1-1}{!x=a1+a2}{!y=b1+b2}{!m=4-30}{!n=46-88}{!z=300-9000*50}{match.drawn}
match:
  {!g=team}{!h=team}{!t=g:town}{!p=g:star}{!q=h:star}{!r=person}{!o=person}{!j=g:coach}{!k=h:coach}{!a1=1-2}{!b1=0-0}{!a2=0-2}{!b2=0-1}{!x=a1+a2}{!y=b1+b2}{!m=4-30}{!n=31-44}{!z=300-9000*50}{match.won}
  {!g=team}{!h=team}{!t=g:town}{!p=g:star}{!q=h:star}{!r=person}{!o=person}{!j=g:coach}{!k=h:coach}{!a1=1-1}{!b1=0-0}{!a2=0-0}{!b2=1-1}{!x=a1+a2}{!y=b1+b2}{!m=4-30}{!n=46-88}{!z=300-9000*50}{match.drawn}
  {!g=team}{!h=team}{!t=g:town}{!p=g:star}{!q=h:star}{!r=person}{!o=person}{!j=g:coach}{!k=h:coach}{!a1=0-0}{!b1=1-2}{!a2=0-0}{!b2=0-2}{!x=a1+a2}{!y=b1+b2}{!m=4-40}{!n=46-88}{!z=300-9000*50}{match.lost}
match.won:
  {g} {x}, {h} {y} // {won.lead} // {match.start} // {won.first} // {won.second} // {won.quotes} // {match.end}
  {g} beat {h} at {g:ground} // {won.lead} // {won.first} // {match.side} // {won.second} // {won.quotes} // {match.end}
match.drawn:
  {g} {x}, {h} {y} // {drawn.lead} // {match.start} // {drawn.first} // {match.side} // {drawn.second} // {drawn.quotes} // {match.end}
match.lost:
  {g} {x}, {h} {y} // {lost.lead} // {match.start} // {lost.first} // {lost.second} // {match.side} // {lost.quotes} // {match.end}
won.lead:
  {g} won {x}-{y} against {h} {when}. {z} people saw the match at {g:ground}, and most of them went home {adj.mood}.
  {a} {adj.good} {p:first} {p:last} led {g} to {a} {x}-{y} win over {h}. It was their [second|third|fourth|fifth] win of the season.
won.first:
  In minute {m} {r} passed the ball to {p}, who turned {adv.way} and shot it into the corner. {g} were in front. At half-time the score was {a1}-{b1}.
  The first goal came after {m} minutes. {p} took a corner, {r} headed the ball against the bar, and {p:last} put it in. It was {a1}-{b1} when the referee sent the teams to their {drink}.
won.second:
  After the break {h} tried harder. {q} shot twice from {15-35} yards, but the keeper of {g}, {o}, held everything that came. It ended {x}-{y}.
  {h} sent on {2-3:w} new players, but {q:last} was alone in front. The best chance fell to {p:last}, who missed from {2-6:w} yards. The final score was {x}-{y}.
won.quotes:
  "We played as a team," said {j}, the coach of {g}. "{p:first} was {adj.good}, and {o:first} was even better."
  {k}, who coaches {h}, was {adj.mood}. "We gave {p:last} too much room," {k:he} said. "{x}-{y} is hard, but it is right."
drawn.lead:
  {g} and {h} drew {x}-{y} at {g:ground} {when}. {z} people saw two goals, {2-7:w} yellow cards and a great deal of {weather.noun}.
  A late goal by {q} saved a point for {h} in {t}. The match against {g} ended {x}-{y}.
drawn.first:
  {g} began well. In minute {m} {p} ran past {2-4:w} men and scored the first goal. At half-time it was {a1}-{b1}.
  After {m} minutes a long ball by {r} reached {p}, and {p:he} made it {a1}-{b1}. Until the break {g} were the better side.
drawn.second:
  Then came minute {n}. {q} got the ball from {a} throw-in, looked up, and hit it {adv.way}. {o}, the keeper, did not move. {x}-{y}.
  {h} came back in the second half. In minute {n} a shot by {q} hit {r:last} on the knee and rolled over the line. It was {x}-{y}, and so it stayed.
drawn.quotes:
  "One point is better than none," said {j}, the coach of {g}. {k} of {h} saw it in another way: "After minute {n} there was only one team."
  "{q:first} never gives up," said {k}, the coach of {h}. "That is why {q:he} plays."
lost.lead:
  {g} lost {x}-{y} to {h} {when}. It was a cold {daytime} at {g:ground}, and many of the {z} people left before the end.
  {h} won {y}-{x} in {t}. {q} was the best player on the field, and {g} had no answer to {q:him}.
lost.first:
  It began badly for {g}. In minute {m} {r} lost the ball to {q}, who did not wait and scored. By half-time the score was {a1}-{b1}.
  The first shot of the match was the first goal. {q} hit the ball from {18-35} yards in minute {m}, and the keeper, {o}, came too late. At half-time {h} led {b1}-{a1}.
lost.second:
  {g} pressed after the break, but {p} was tired and {r} was hurt. In minute {n} {q:last} almost scored again. The end was {x}-{y}, and people whistled.
  In minute {n} {p} had the only real chance for {g}. {p:he} hit the post. A little later it was over: {x}-{y}.
lost.quotes:
  "I have no words," said {j}, the coach of {g}, and then found some. "We were slow, we were {adj.mood}, and {q:last} was neither."
  {k} of {h} was {adj.mood}. "{q:first} has trained for this since {month}," {k:he} said. "{y:w} away from home, that does not happen every week."
match.start:
  The match began {5-30*5} minutes late {late.reason}. {weather.line}. {g} played in {colour}, {h} in {colour} and white.
  {weather.line}. The grass at {g:ground} was [wet|heavy|dry|short|slippery], and both teams needed time to get used to it.
match.side:
  {a} {animal} ran across the field and had to be caught by {r:last}. It cost {2-6:w} minutes and gave the {z} people something to laugh about.
  The referee, {person}, showed {2-6:w} yellow cards and sent nobody off.
  Both sides had shots from {20-35} yards, but neither {p:last} nor {q:last} found the corner.
match.end:
  {g} are now [third|fourth|fifth|sixth|ninth|tenth] with {10-50} points. On {weekday} they play away at {team}.
  The next match of {h} is at home, in {h:town}, on {weekday}.
  {g} were founded in {g:founded}, and {h} in {h:founded}. They have met {20-90} times.
)";

}  // namespace sixteen
