// Letters, dialogues and diaries. Language: corpus_grammar.h.
#include "trainer/corpus_text.h"

namespace sixteen {

const std::string_view kPeopleText = R"(
letter:
  {!p=person}{!q=p:friend}{!r=person}{!t=p:town}{!u=q:town}{!o=object}{!k=animal}{!b=building}{!d=date}{letter.friend}
  {!p=person}{!q=person}{!t=p:town}{!c=company}{!o=letter.goods}{!n=10-400*5}{!m=1000-9000}{!d=date}{letter.complaint}
  {!p=person}{!c=p:company}{!q=c:boss}{!t=c:town}{!u=p:town}{!n=2-15}{!r=person}{!d=date}{letter.job}
letter.friend:
  {t}, {d} // Dear {q:first}, // {friend.thanks} // {friend.news} // {friend.third} // {friend.ask} // {friend.close} // {p:first}
  {t}, {d} // Dear {q:first}, // {friend.news} // {friend.third} // {friend.thanks} // {friend.ask} // {friend.close} // {p:first}
friend.thanks:
  Thank you for your letter and for the {o}. It came on {weekday}, and I was {adv.much} {adj.mood} when I opened the parcel. The {o} now stands on the {furniture} beside my bed, and everybody asks where I got it.
  I should have written weeks {ago}, but there was always something. First the {furniture} broke, then my {relative.m} fell ill, and then the {o} that you sent me was lost at the post office. It was found in {a} {b} at last.
friend.news:
  There is not much news from {t}. The old {b} in {street} has been sold, and {r} wants to make {a} {building} out of it. You remember {r:first}: {r:he} is the {r:job} who used to talk about {r:hobby} all day.
  We have {a} {k} now. {r} found it {nearby} and could not keep it. It is {colour}, {adj.mood} and always hungry. Yesterday it ate the {food} that I had made for my {relative.f}, and today it sleeps on your {o}.
  Work is the same as ever. {a} {p:job} in {t} is never without something to do. But on {weekday} I have a free {daytime}, and then I go in for {p:hobby}. I wish you could see it.
  I met {r} at the {b} the other day. {r:he} has come back from {u} after {2-20:w} years and works for {p:company} now. We talked for {2-5:w} hours. {r:first} still laughs like {a} {animal}.
friend.third:
  {weather.line}, so I stayed at home and thought of the {season} when we walked to {u}. Do you still have the {object} that we bought there? I have kept the map.
  Last week I dreamed that we were at school again. You had forgotten your {subject} book, and I had lost the {o}. The teacher was {a} {animal}. I woke up {adj.mood}.
  My {relative.f} sends her love. She is {70-96} now and walks to the {b} every {daytime}. "Tell {q:first} to come while I can still make {food}," she says.
friend.ask:
  How are things in {u}? Are you still {a} {q:job}, and do you still get up at {4-7} o'clock for your {q:hobby}? Write and tell me everything.
  When will you come? The room with the {colour} {furniture} is yours whenever you like. There is a train from {u} at {7-11:w} and another at {1-6:w}.
  Please tell {q:his} secret to nobody, but I heard that {r} will marry in {month}. I shall need {a} new hat, and you must come with me. Nobody else in {u} has any taste.
friend.close:
  Yours ever,
  With love,
  Your old friend,
  All my best wishes,
exchange:
  {!p=person}{!q=p:friend}{!r=person}{!t=p:town}{!u=q:town}{!o=object}{!k=animal}{!b=building}{!d=date}{letter.friend} // {letter.back}
letter.back:
  {!w=p}{!p=q}{!q=w}{!w=t}{!t=u}{!u=w}{!v=o}{!o=object}{!d=date}{t}, {d} // Dear {q:first}, // {back.open} // {friend.news} // {friend.third} // {back.more} // {friend.close} // {p:first}
back.open:
  What a surprise to hear from {u}! I read your letter at the {furniture}, then again in bed, and then to {r}, who sends greetings. I am glad about the {k}, and I am glad about the {v}.
  Your letter took {3-9:w} days from {u} to {t}, and I have read it {2-6:w} times. So the {v} is still there! I had forgotten it, as one forgets {a} {object}.
back.more:
  You ask about my work. Yes, I am still {a} {p:job}, and yes, there is still time for {p:hobby}. Come to {t} in {month} and see for yourself. Bring the {k} if you must, and leave the {v} at home.
  As for the secret: I have told only {r}, and {r:he} has told nobody but the {b}. In {t} that means everybody. Do not be {adj.mood} with me, {q:first}. {thought}, as you always say.
letter.goods = lamp, radio, oven, coat, bicycle, tent, clock, camera, sofa, pair of shoes, kettle, garden chair, suitcase, fan
letter.complaint:
  {p} // {4-98} {street}, {t} // {d} // To {c}: order number {m} // Dear Sir or Madam, // {complaint.what} // {complaint.then} // {complaint.want} // Yours faithfully, // {p}
complaint.what:
  On {date:day} I ordered {a} {o} from your shop for {n} pounds. The order number is {m}. When it came, the {o} was {colour} and not {colour}, and one part of it was {how.fault}.
  I am writing about the {o} that I bought from you {ago} (order number {m}, price {n} pounds). After {2-12:w} days it stopped working. I am {a} {p:job} and know how to treat {a} {o}.
complaint.then:
  I telephoned {2-7:w} times. {q} in your office promised to send another {o} by {weekday}. It is now {d:month}, and I have received nothing but {a} {object} with the name of {c} on it.
  I wrote to {q}, who answered {adv.way} that {n} pounds was a low price for {a} {o}. I do not agree. For {n} pounds I expect something {adj.good}.
complaint.want:
  Please send me my {n} pounds or {a} {o} that works. If I do not hear from you before {weekday}, I shall bring the {o} to {c:town} myself and put it on the desk of {c:boss}.
  I ask you to take the {o} back and to return the {n} pounds. I have bought {c:makes} from {c} since {1970-1989} and was {adv.often} content until now.
letter.job:
  {p} // {4-98} {street}, {u} // {d} // To {q}, {c}, {t} // Dear {q:first} {q:last}, // {job.open} // {job.past} // {job.why} // {job.end} // Yours sincerely, // {p}
job.open:
  I read in the newspaper that {c} is looking for {a} {p:job}. I have worked as {a} {p:job} for {n:w} years and should like to come to {t}.
  {r} told me that you need {a} {p:job}. {r:he} thinks that I would be the right person, and I hope that you will think so too.
job.past:
  I was born in {p:born} and went to school in {u}, where I was best at {subject}. For the last {n:w} years I have been with a small firm there. I have never been late, except once, because of the {weather.noun}.
  After school I spent {2-6:w} years in {town}. I learned there that {thought}. Since then I have been {a} {p:job} in {u}, and for {n:w} years I have led a group of {3-20} people.
job.why:
  I know your {c:makes} well. My {relative.m} had some of your {c:makes} at home, and they still work. I would be proud to be one of the {c:staff} people of {c}.
  Why {c}? Because you have made {c:makes} since {c:founded} and still try to make them better. In my free time I am interested in {p:hobby}, which has taught me to be patient.
job.end:
  I could begin on {date:day}. {r} will gladly tell you more about me.
  I would be happy to visit you in {t} on any {weekday}.

dialogue:
  {!p=person}{!q=person}{!t=town}{!o=object}{!b=building}{!f=food}{!n=2-12}{!k=animal}{!s=street}{!c=colour}{talk}
talk:
  {talk.lost.open} // {talk.lost.a} // {talk.lost.b} // {talk.middle} // {talk.lost.c} // {talk.end}
  {talk.lost.open} // {talk.lost.a} // {talk.middle} // {talk.lost.b} // {talk.middle} // {talk.lost.c} // {talk.end}
  {talk.trip.open} // {talk.trip.a} // {talk.middle} // {talk.trip.b} // {talk.trip.c} // {talk.end}
  {talk.trip.open} // {talk.trip.a} // {talk.trip.b} // {talk.middle} // {talk.middle} // {talk.trip.c} // {talk.end}
answer:
  said {p:first}
  {p:first} answered
  {p:first} replied {adv.way}
  said {p:first}, looking {adj.mood}
reply:
  said {q:first}
  {q:first} said
  {q:first} said {adv.way}
  {q:first} {verb.speak:ed}
ask:
  asked {q:first}
  {q:first} asked
  {q:first} wanted to know
  {q:first} {verb.speak:ed}
talk.lost.open:
  {p} was {adj.mood}. The {c} {o} was gone. {p:he} looked under the {furniture}, behind the {furniture} and in the kitchen, but it was nowhere. Then {q} came in.
  When {q} came to the {b} in {s}, {p} was sitting on {a} [bench|chair|sofa|stool|suitcase] and looked {adj.mood}. {weather.line}.
talk.lost.a:
  "What are you looking for?" {ask}. // "My {o}," {answer}. "The {c} one. I had it this morning." // "Where did you see it last?" // "At the {b}, I think. I put it down to pay for the {f}."
  "Have you seen {a} {c} {o}?" asked {p:first}. // "No," {reply}. "Is it yours?" // "It belongs to my {relative.f}. If I do not find it before {weekday}, she will never speak to me again."
talk.lost.b:
  "Let us go back to the {b} and ask," {reply}. // "I have been there {n:w} times. They have found {n:w} umbrellas, {a} {object} and {a} {k}, but no {o}." // "{a} {k}?" // "{a} {k}. It was {adv.much} {adj.mood}."
  "Perhaps the {k} took it," {reply}. // "What would {a} {k} do with {a} {o}?" // "What does {a} {k} do with anything? It carries it into the garden and forgets it."
talk.lost.c:
  They went out together. Under the {tree} in {s} sat the {k}, and between its feet lay the {c} {o}. "There," {reply}. "I told you." {p:first} was so {adj.mood} that {p:he} gave the {k} some {f}.
  In the end it was {q:first} who found it. The {o} had been in {p:his} own coat all the time. "Do not tell anyone," {answer}. "I will tell the whole of {t}," said {q:first}, and {q:he} did.
talk.trip.open:
  "Have you ever been to {t}?" asked {q}. {q:he} and {p} were waiting {nearby}, and the {road.thing} was late.
  {p} and {q} sat at {a} {adj.look} table by the window. Between them lay a map of {t:region}, {a} {o} and {a} plate of {f}.
talk.trip.a:
  "{t} is too far," {answer}. "It takes {n:w} hours, and there is nothing to see." // "There is {t:famous}," said {q:first}. "And it lies on the {t:river}. We could swim."
  "Let us go to {t} on {weekday}," {reply}. "Everybody talks about {t:famous}." // "Who is everybody?" // "My {relative.m}. He went there {ago} and stayed for {n:w} weeks."
talk.trip.b:
  "How much is the ticket?" // "{n} pounds, there and back." // "{n} pounds! For that I can buy {a} {o}." // "You have {a} {o}," {reply}. "You have {n:w} of them. What you do not have is a day in {t}."
  "Who lives there now?" {ask}. // "{t:mayor}," said {p:first}. "The mayor. {q:first}, you must know that name." // "I only remember the {k} in the {b}. It was {c}, and it followed us all the way to {s}."
talk.trip.c:
  At last {p:first} stood up. "Good," {p:he} said. "{t}, on {weekday}, at {6-11:w} o'clock. But you carry the {o}." {q:first} laughed and took the last of the {f}.
  So they went. {weather.line}. They saw {t:famous}, lost the {o}, and ate {f} {nearby}. "Nothing to see?" asked {q:first} on the way back. "{n:w} pounds well spent," {answer}.
talk.middle:
  For a while nobody spoke. {scene}.
  "Would you like some {f}?" {ask}. // "No, thank you. I had {food} at home." // "With {drink}?" // "With {drink}."
  "You look {adj.mood}," {reply}. // "I am. I have been {a} {p:job} for {n:w} years, and I have not slept since {weekday}."
  "How is your {p:hobby}?" {ask}. // "{adj.good}, thank you. And your {q:hobby}?" // "I had to stop. The {k} did not like it."
  Outside it began to [rain|snow|get dark]. {a} {road.thing} stopped in front of the {b}, and somebody got out.
talk.end:
  "Well," {reply}, "as my {relative.f} used to say: {thought}."
  And that was the end of it, or so they thought.
  "Next time," {answer}, "I shall stay at home."
  "You see," said {q:first}, "{thought}."

diary:
  {!p=person}{!q=person}{!t=town}{!r=relative.f}{!k=animal}{!o=object}{!b=building}{!w=1-5}{diary.page}
diary.page:
  Diary of {a} {p:job} in {t} // {diary.mon} // {diary.tue} // {diary.wed} // {diary.fri} // {diary.sun}
  From the notebook of {p} // {diary.mon} // {diary.wed} // {diary.tue} // {diary.fri} // {diary.sun}
diary.mon:
  Monday. {weather.line}. Got up at {5-8:w} and had {food} and {drink}. At work until {5-8:w}. {q} came by and borrowed my {o}. I asked when I would see it again, and {q:he} only smiled.
  Monday. My {r} telephoned. She has bought {a} {k} and calls it {q:first}, after our neighbour {q}. I told her that {q:last} would not be pleased.
diary.tue:
  Tuesday. No {o}. {q} says {q:he} needs it for {q:hobby}. In the evening I sat {nearby} and watched people go by. {scene}.
  Tuesday. Walked to the {b} and back, {w:w} miles. {weather.line}. Met {q}, who talked about {q:hobby} and did not mention the {o}.
diary.wed:
  Wednesday. The {k} of my {r} ran away. We looked for it in {street}, at the {b} and along the {t:river}. {q} found it at last, and so I could say nothing about the {o}.
  Wednesday. Bought {food} and {w:w} {flower:s} for my {r}. She was {adj.mood}. The {k} bit me. She says that it only does that to people who are {adj.mood}.
diary.fri:
  Friday. {p:hobby} in the evening. There were {3-20} of us, and we stayed until {9-11:w}. {q:first} brought {food}. It was {adv.much} {adj.good}, so I forgave {q:him} half of the {o}.
  Friday. A letter from {company}. They want me to come to {town} as {a} {p:job}. I do not know. I have lived in {t} for {4-30} years, and who would look after the {k}?
diary.sun:
  Sunday. {q} brought the {o} back. It is {how.fault}. I said thank you. My {r} is right: {thought}.
  Sunday. Slept until {8-11:w}. Then the bell rang, and there stood {q:first} with {a} new {o}. The old one, {q:he} said, had been eaten by the {k}. I laughed for the first time this week.
)";

}  // namespace sixteen
