// Reviews of products and books. Language: corpus_grammar.h.
#include "trainer/corpus_text.h"

namespace sixteen {

const std::string_view kReviewText = R"(
thing = vacuum cleaner, coffee machine, kettle, toaster, backpack, raincoat, alarm clock, reading lamp, office chair, tent,
  bicycle lamp, lawn mower, sewing machine, pair of boots, frying pan, water bottle, headphone, washing machine, garden hose,
  camera, electric fan, hair dryer, sleeping bag, keyboard, suitcase, torch, heater, mattress
part = handle, lid, switch, cable, battery, wheel, strap, zip, button, filter, hinge, screen, motor, cover, plug, spring
quality = light, quiet, heavy, loud, strong, simple, fast, slow, soft, warm, cheap, expensive, safe, practical
review:
  {!c=company}{!p=person}{!q=person}{!x=thing}{!y=part}{!z=part}{!n=12-480}{!k=100-950*10}{!m=2-11}{!v=colour}{!s=4-5}{review.happy}
  {!c=company}{!p=person}{!q=person}{!x=thing}{!y=part}{!z=part}{!n=12-480}{!k=100-950*10}{!m=2-11}{!v=colour}{!s=1-2}{review.angry}
  {!c=company}{!p=person}{!q=person}{!x=thing}{!y=part}{!z=part}{!n=12-480}{!k=100-950*10}{!m=2-11}{!v=colour}{!s=3-3}{review.mixed}
  {!p=person}{!q=person}{!r=person}{!t=town}{!o=object}{!b=building}{!y=1890-2015}{!n=140-620*10}{!k=book.kind}{!x=book.title}{review.book}
review.happy:
  {review.title.good} // {review.why} // {happy.use} // {happy.detail} // {happy.small} // {review.end.good}
  {review.title.good} // {happy.use} // {review.why} // {happy.detail} // {review.end.good}
review.angry:
  {review.title.bad} // {review.why} // {angry.use} // {angry.detail} // {angry.service} // {review.end.bad}
  {review.title.bad} // {angry.use} // {review.why} // {angry.service} // {review.end.bad}
review.mixed:
  {review.title.mixed} // {review.why} // {happy.use} // {angry.detail} // {mixed.sum}
  {review.title.mixed} // {review.why} // {happy.detail} // {angry.use} // {mixed.sum}
review.title.good:
  {s} stars: {a} {adj.good} {x}
  The {x} {k} by {c}: {adj.good}
  At last {a} {x} that works
review.title.bad:
  {s} stars: never again
  The {x} {k} by {c}: {adj.bad}
  {n} pounds for {a} broken {y}
review.title.mixed:
  {s} stars: the {x} {k}, good and bad
  {c} {k}: {quality}, but not {quality}
review.why:
  I bought the {x} {k} by {c} {m:w} weeks ago for {n} pounds. My old {x} had lasted {3-20:w} years, and then its {y} broke. {q}, who is {a} {q:job}, told me to try {c}.
  My {relative.f} wanted {a} {x}, and since she lives near {c:town}, where {c} makes {c:makes}, she wanted one from {c}. The model is called {k} and costs {n} pounds. We took it in {v}.
  As {a} {p:job} I use {a} {x} every day. For {m:w} months it has been the {k} by {c}. It cost {n} pounds, and it is {v}.
happy.use:
  It is {quality} and {quality}, and the {y} feels {adj.good}. I have used it {adv.often} since then, even in {weather.noun}, and nothing has gone wrong.
  The {x} was ready after {2-15} minutes. You push the {y}, turn the {z}, and that is all. My {relative.m}, who is {70-92}, needs no help with it.
happy.detail:
  What I like most is the {y}. It is made of {material}, while others use {material}. The {z} can be taken off and washed. In the box there was also {a} {object}, which I did not expect.
  The {y} is {adj.size} enough for large hands, and the {z} does not get hot. After {m:w} weeks there is not a mark on the {v} paint.
happy.small:
  One small thing: the {z} could be longer. I wrote to {c} about it, and {q} answered on the same day. They sent me a new {z} and asked for nothing.
  If I had a wish, it would be {a} {colour} one instead of the {v}. But that is a matter of taste.
angry.use:
  On the first day the {y} came off in my hand. On the second day the {z} made a noise like {a} {animal}. On day {m} the {x} stopped.
  The {x} is {quality} when it should be {quality}. The {y} is so {adj.size} that you cannot hold it, and the {z} is {how.fault}.
angry.detail:
  The {z}, however, is {adj.bad}. It is made of {material} and gets {how.fault} after {m:w} weeks. For {n} pounds I expected more from {c}.
  Then there is the {y}. You have to press it {2-6:w} times before anything happens. The book that comes with it is {adj.bad} and does not say a word about the {z}.
angry.service:
  I telephoned {c}. A man told me that nobody else had trouble with the {y}. I asked for his name, and he said {q}. Then the line was dead.
  I sent it back to {c:town}. {m:w} weeks later it came back, with the same {y} and a letter signed by {q}. The letter said that the {x} was [in order|as it should be|perfectly normal].
mixed.sum:
  Would I buy it again? For half of the {n} pounds, yes. If the {y} matters to you, take another one; if you only look at the {z}, you will be {adj.mood}.
  {q}, who has the same {x}, disagrees: the {y} is fine, says {q:he}, and it is the {z} that will break first. We shall see. Three stars from me.
review.end.good:
  The {k} is not {quality}, but it is worth {n} pounds. {s:w} stars, and thanks to {c}.
  I would buy it again at once. As {c} says on the box: {thought}.
  So if your {x} is {how.fault}, do not mend it. Get the {k}.
review.end.bad:
  Keep your {n} pounds. {s:w} [star|stars] for the {v} paint, nothing for the rest.
  I have gone back to my old {x}. It is {adj.look} and {quality}, but its {y} holds.
  {c} has made {c:makes} since {c:founded}. It should have stayed with them.

book.kind = novel, book of stories, travel book, history, memoir, crime novel, book for children, biography
book.title:
  "The Last {season}"
  "{a} {adj.look} {object}"
  "Letters from {t}"
  "The {animal} of {t}"
  "{feeling} and {feeling}"
  "My Life with {animal:s}"
review.book:
  {x} by {p} // {book.lead} // {book.story} // {book.style} // {book.end}
book.lead:
  {x}, the [first|second|third|fifth] {k} by {p}, has {n} pages and not one of them is too many. It is set in {t} in {y}.
  {p}, {a} {p:job} from {p:town}, has written {a} {k}. It is called {x} and takes us to {t} in the year {y}.
book.story:
  {q:first} and {r:first} find {a} {o} in {a} {b}. Whose was it? They ask {a} {adj.mood} {r:job}, who knows more than {r:he} says. On page {20-130} somebody takes the {o}, and from then on nobody in {t} can be trusted.
  It begins with {feeling}. {q:first}, {a} young {q:job}, comes to {t} with nothing but {a} {o}. In the {b} {q:he} meets {r:first}. They talk for {20-90} pages, and one forgets to eat.
book.style:
  {p:last} writes {adv.way} and without long words. When {q:first} looks for the {o}, one hears the {weather.noun}. Only the part about the {b} is {adj.bad}, and it is over after {5-40} pages.
  The sentences are {adj.size}, the people {adj.mood}. One wants to know how {q:first} will get out of the {b}, and what {r:first} has done with the {o}. {p} lets us wait until page {n}.
book.end:
  I read {x} in {2-9:w} {daytime:s}. My {relative.f} has it now, and she does not answer the telephone.
  Whoever likes {t:famous} will like {x}. It costs {6-30} pounds and is sold in every {building}.
  In the end {q:first} says: "{thought}." It could stand on the cover.
)";

}  // namespace sixteen
