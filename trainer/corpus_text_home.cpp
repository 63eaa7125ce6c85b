// Recipes and how-to articles. Language: corpus_grammar.h.
#include "trainer/corpus_text.h"

namespace sixteen {

const std::string_view kHomeText = R"(
ing.veg = carrots, potatoes, onions, leeks, tomatoes, parsnips, mushrooms, courgettes, turnips, cabbage, spinach, peas,
  green beans, beetroot, celery, peppers, pumpkin, cauliflower
ing.main = chicken, beef, lamb, salmon, cod, white beans, lentils, chickpeas, pork, turkey, barley, eggs, trout, rice, ham
ing.herb = parsley, thyme, mint, basil, dill, rosemary, sage, chives, bay leaves, coriander
ing.spice = pepper, cumin, paprika, ginger, nutmeg, cinnamon, mustard, saffron, chilli, cloves
ing.fruit = apples, pears, plums, cherries, raspberries, blackberries, apricots, peaches, gooseberries, lemons, oranges, figs
ing.nut = walnuts, almonds, hazelnuts, pine nuts, chestnuts, raisins
ing.fat = butter, olive oil, sunflower oil, lard
dish.savoury = soup, stew, pie, casserole, salad, gratin, curry
dish.sweet = cake, tart, crumble, pudding, pie, strudel
pan = pan, pot, casserole dish, frying pan, saucepan
verb.cut = chop/chops/chopped/chopping, slice, dice, cut/cuts/cut/cutting, grate, peel

recipe:
  {!p=person}{!t=p:town}{!x=ing.main}{!y=ing.veg}{!z=ing.veg}{!h=ing.herb}{!i=ing.spice}{!g=ing.fat}{!k=dish.savoury}{!n=2-8}{!m=20-90*5}{!e=160-220*10}{!w=200-900*50}{!o=pan}{recipe.savoury}
  {!p=person}{!t=p:town}{!x=ing.fruit}{!y=ing.fruit}{!z=ing.nut}{!i=ing.spice}{!k=dish.sweet}{!n=4-12}{!m=25-60*5}{!e=160-200*10}{!w=300-900*50}{!s=80-240*10}{recipe.sweet}
menu:
  {season} recipes // {recipe} // {recipe} // {recipe}
  Two dishes for {a} {season} {daytime} // {recipe} // {recipe}
recipe.savoury:
  {k} of {x} and {y} // {savoury.intro} // {savoury.list} // {savoury.first} // {savoury.second} // {savoury.third} // {recipe.end}
  {k} of {x} with {y} and {h} // {savoury.intro} // {savoury.list} // {savoury.first} // {savoury.second} // {savoury.third}
savoury.intro:
  This {k} comes from {p} of {t}, {a} {p:job} who cooks for {p:his} family every {weekday}. It feeds {n:w} people and takes {m} minutes.
  Nothing is better than {k} on a cold {season} {daytime}. This one, with {x} and {y}, is {adv.much} easy. You need {m} minutes and one {o}.
  "My {relative.f} made this {k} whenever there was {weather.noun}," says {p} from {t}. The secret is the {h}. It is enough for {n:w}.
savoury.list:
  For {n:w} people you need: {w} grams of {x}, {2-9:w} hundred grams of {y}, some {z}, a bunch of {h}, two spoons of {g}, salt and {i}.
  Ingredients (serves {n:w}): {w} g {x}; {100-600*50} g {y}; {100-400*50} g {z}; {1-4} spoons of {g}; {h}; {i}; salt.
savoury.first:
  Wash the {y} and [chop everything finely|cut everything into small pieces|slice everything thinly]. Do the same with the {z}. Heat the {g} in a large {o} and fry the {y} for {3-9:w} minutes, until everything begins to colour.
  First {verb.cut} the {y} and the {z}. Melt the {g} in {a} {o}, add the {y}, and stir {adv.way} for {3-9:w} minutes. Do not let the {g} burn.
savoury.second:
  Now add the {x} and a pinch of {i}. Turn the {x} so that every side is brown. Then pour in {a} [cup|glass|pint] of [water|stock|cider|white wine] and put the lid on the {o}.
  Season the {x} with salt and {i} and put everything on the {y}. Cover everything with the {z}. [Bake it at {e} degrees|Let it simmer on a low heat|Put it into the oven at {e} degrees] for {m} minutes.
savoury.third:
  When everything is soft, taste the {k}. It may need more salt or {i}. Sprinkle the {h} over it and serve it at once, with [bread|rice|boiled potatoes|a green salad].
  Before you serve the {k}, stir in the {h}. If there is too much liquid, take the lid off the {o} and wait {5-15} minutes. Keep what is left in a cool place. It tastes even better on the next day.
recipe.sweet:
  {k} with {x} and {z} // {sweet.intro} // {sweet.list} // {sweet.first} // {sweet.second} // {sweet.third} // {recipe.end}
  The {k} of {p}: {x} and {z} // {sweet.intro} // {sweet.list} // {sweet.first} // {sweet.second} // {sweet.third}
sweet.intro:
  In {t} they make this {k} in {month}, when the {x} are ripe. {p}, {a} {p:job} there, gave us the recipe. It makes {n} slices.
  {a} {k} with {x} needs no cream. The {z} make it rich, and a little {i} makes it {adj.good}. It is done in {m} minutes.
  {p} won a prize at the {season} fair in {t} with this {k}. {p:he} says that the {x} must be fresh and the oven hot.
sweet.list:
  You need {w} grams of {x}, {s} grams of sugar, {100-300*10} grams of flour, {2-5:w} eggs, {80-200*10} grams of butter, a handful of {z} and a little {i}.
  Ingredients (for {n} slices): {w} g {x}; {s} g sugar; {120-320*10} g flour; {2-5:w} eggs; {50-100*10} g {z}; butter; {i}.
sweet.first:
  Heat the oven to {e} degrees. Beat the butter and {s} grams of sugar until the mixture is pale. Add the eggs one after another, then the flour and the {i}. The dough should be soft but not wet.
  Mix the flour with the butter, {s} grams of sugar and the {i}, using the tips of your fingers. Add the eggs and stir {adv.way}. Leave the dough in a cool place for {10-40*5} minutes. Meanwhile heat the oven to {e} degrees.
sweet.second:
  Wash the {x}, take out the stones or seeds, and cut them into quarters. Chop the {z}. Put half of the dough into a tin, cover it with the {x}, and spread the rest on top.
  Peel the {x} if you like. Press the dough into a round tin, lay the {x} on it in circles, and scatter the {z} over them. If you have no {x}, {y} will do.
sweet.third:
  Bake the {k} for {m} minutes at {e} degrees. It is ready when a wooden stick comes out clean. Let it cool before you cut it.
  After {m} minutes the {k} should be golden brown. Turn the oven off, open its door, and wait {5-15} minutes. Serve it with [whipped cream|vanilla ice cream|custard|a cup of {drink}].
recipe.end:
  {p:last} has one more piece of advice: {thought}.
  If you liked this {k}, try it with {ing.spice} next time. In {t} some people add {ing.nut} as well.
  You can send us your own recipe for {k} until {now:day}. The best one wins {a} {object}.

howto:
  {!p=person}{!t=p:town}{!n=2-8}{!m=solid}{!tool=how.tool}{!tool2=how.tool}{!x=how.repair}{!k=15-120*15}{how.repair.text}
  {!p=person}{!t=p:town}{!n=3-12}{!x=flower}{!y=how.season}{!k=10-60*5}{!tool=how.digger}{how.grow.text}
  {!p=person}{!t=p:town}{!n=2-6}{!x=how.pet}{!k=5-40*5}{!tool=object}{how.pet.text}
how.tool = hammer, screwdriver, saw, file, plane, drill, spanner, chisel, clamp, brush/brushes, sharp knife/sharp knives, ruler
how.repair = chair, table, cupboard door, garden gate, bicycle, lamp, window frame, clock, drawer, shelf/shelves, wooden box,
  fence, roof gutter, kettle, leather bag, umbrella, picture frame, toy train
how.season = early spring, late spring, summer, early autumn, late autumn
how.digger = spade, fork, trowel, rake, hoe, watering can, bucket, wheelbarrow
how.pet = puppy/puppies, kitten, parrot, rabbit, pony/ponies, hen, goldfish/goldfish, guinea pig, tortoise
how.fault = loose, cracked, bent, rusty, broken, stuck, worn
how.repair.text:
  {!f=how.fault}How to mend {a} {f} {x} // {repair.intro} // {repair.need} // {repair.one} // {repair.two} // {repair.three} // {repair.end}
repair.intro:
  Most people throw {a} {f} {x} away. That is a pity, because you can mend it in {k} minutes. {p}, {a} {p:job} from {t}, shows how.
  {a} {x} that is {f} need not stay {f}. With {a} {tool}, a piece of {m} and a little patience you can mend it yourself.
  "I have mended {n} {x:s} this year," says {p} of {t}. "Each took me about {k} minutes. A new {x} costs {20-300*10} pounds."
repair.need:
  You need {a} {tool}, {a} {tool2}, some {m}, glue, and an old newspaper to keep the floor clean.
  Before you begin, lay out your {tool}, {a} {tool2} and {n:w} screws. If you have no {tool2}, borrow one from a neighbour.
repair.one:
  Step one. Put the {x} on a flat surface and look at it {adv.way}. Find the place where it is {f}, and mark it with a pencil. Take off any loose paint with the {tool}.
  First, clean the {x} with warm water and let it dry. Then use the {tool} to open it. Keep the screws in a cup, so that you can find all {n:w} of them later.
repair.two:
  Step two. Cut a piece of {m} that is a little larger than the {f} part. Put glue on both sides and press them together with the {tool2}. Wait {k} minutes.
  Next, take the {f} part out and compare it with the piece of {m}. It should be the same length. If it is too long, shorten it with the {tool2}, a little at a time.
repair.three:
  Step three. Put everything together again and try it. If the {x} is still {f}, the glue was not dry. Take it apart and begin again with step two.
  Last, turn the {n:w} screws {adv.way} until they hold, but no further. Rub some oil or wax on the {m}. Your {x} should now be as good as new.
repair.end:
  {p} still has {p:his} first {x}. {p:he} found it {nearby} in {t} when {p:he} was {12-25}. "It was {f}, like everything there," {p:he} says. "I had {a} {tool} and a free {weekday}."
  One warning: do not use the {tool} when you are tired. As {p:last} likes to say, {thought}.
how.grow.text:
  How to grow {x:s} // {grow.intro} // {grow.soil} // {grow.water} // {grow.trouble} // {grow.end}
grow.intro:
  The best time to plant {x:s} is {y}. {p}, {a} {p:job} with a large garden in {t}, has grown them for {4-40} years.
  {x:s} are not hard to grow, even if your garden is small. What they want is light, water and {n:w} weeks of patience. Start in {y}.
grow.soil:
  Dig the ground with {a} {tool} to a depth of {k} centimetres and take out all stones. {x:s} like soil that is [dry|light|rich|sandy|heavy]. Put the plants {n} inches apart.
  Choose a place {nearby} that has sun in the {daytime}. Loosen the soil with {a} {tool}. Make a hole of {k} centimetres for every {x}, set it in, and press the earth down with your hands.
grow.water:
  Water the {x:s} every {n:w} days, early in the morning. In {season} they need less. Too much water is worse than too little.
  For the first {n:w} weeks your {x:s} must not dry out. After that, water them on {weekday} and {weekday} only.
grow.trouble:
  If the leaves turn yellow, the roots stand in water. If they have holes, look for snails after dark. {p:last} goes out with {a} lantern and {a} {tool}, and {p:he} has counted {20-200} of them in one night.
  {animal:s} may eat the young plants. A low fence of {solid} helps. So does {a} {animal}, says {p}, who keeps one in {p:his} garden for that reason.
grow.end:
  With luck the first {x} will open in {month}. Cut it, put it into {a} {colour} bottle, and write down the date.
  Next year you can divide the {x:s} and give some away. Half of {street} in {t} now grows the {x:s} of {p}.
how.pet.text:
  Living with {a} {x} // {pet.intro} // {pet.food} // {pet.home} // {pet.health} // {pet.end}
pet.intro:
  {a} {x} is {a} {adj.good} companion, but it needs time. Plan at least {k} minutes for it every day. {p}, {a} {p:job} in {t}, keeps {n:w} of them.
  Before you buy {a} {x}, ask yourself who will look after it when you are away. {p} of {t} did not ask, and {p:his} {relative.f} had to take the {x} for {n:w} weeks.
pet.food:
  Feed the {x} {2-4:w} times a day, always at the same hour. It should have fresh water at all times. Never give it {food} or {food}.
  The {x} of {p} gets {k} grams of food in the morning and a little {ing.veg} in the evening. Sweet things are bad for {x:s}, even if they beg.
pet.home:
  A young {x} wants a warm place {n} feet away from the door. A box of {material} with an old {colour} blanket will do. Put {a} {tool} beside it, so that it has something to play with.
  {x:s} like to hide. Give yours a corner behind the {furniture} and do not disturb it there. {p:last} once looked for {p:his} {x} for {k} minutes, and it was asleep in the {furniture}.
pet.health:
  Once a year a vet should see the {x}. The visit costs about {20-90*5} pounds. If it does not eat for {2-4:w} days, do not wait.
  Look at its eyes and ears every {weekday}. A healthy {x} is {adj.mood} and moves about. If yours is {adj.mood} for more than {n:w} days, call the vet in {t}.
pet.end:
  In the end it is simple, says {p:last}: {thought}.
  {p} has never been sorry. "When I come home from work, the {x} is the first to know," {p:he} says.
)";

}  // namespace sixteen
