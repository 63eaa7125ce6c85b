// Word lists and small rules that all genres share. Language: corpus_grammar.h.
#include "trainer/corpus_text.h"

namespace sixteen {

const std::string_view kWordsText = R"(
document:
  {news}
  {news}
  {recipe}
  {howto}
  {letter}
  {dialogue}
  {diary}
  {travel}
  {portrait}
  {portrait}
  {match}
  {review}
  {gazette}
  {gazette}
  {exchange}
  {album}
  {season.report}
  {menu}

adj.good = excellent, pleasant, fine, splendid, wonderful, remarkable, superb, impressive, solid, decent, delightful,
  charming, reliable, lovely, first-rate, satisfying, admirable, agreeable, brilliant, clever, comfortable,
  convincing, delicious, enjoyable, faultless, generous, graceful, handy, ingenious, magnificent, marvellous,
  outstanding, practical, refreshing, sensible, useful, welcome, well-made
adj.bad = poor, disappointing, dreadful, terrible, weak, awkward, unpleasant, dull, clumsy, careless, miserable,
  unreliable, annoying, cheap, confusing, crude, dangerous, depressing, feeble, flimsy, foolish, frightful, hopeless,
  noisy, ordinary, pointless, ridiculous, shoddy, tedious, tiresome, ugly, useless, wretched
adj.size = small, large, huge, tiny, enormous, modest, narrow, broad, tall, low, deep, long, short, compact, slim,
  wide, thick, thin, shallow, slender, massive, little, bulky, miniature, gigantic, mighty, oversized
adj.mood = cheerful, nervous, calm, tired, proud, grateful, worried, relieved, puzzled, excited, gloomy, hopeful,
  anxious, curious, patient, stubborn, generous, quiet, polite, lonely, delighted, sleepy, amused, annoyed, bored,
  bold, brave, confident, confused, content, desperate, determined, disappointed, embarrassed, frightened, furious,
  friendly, homesick, impatient, innocent, jealous, modest, pleased, restless, sad, serious, shy, sincere, surprised,
  suspicious, thoughtful, uneasy, upset, weary, witty
adj.look = old, new, dusty, shiny, wooden, faded, crooked, elegant, plain, bright, rusty, painted, handsome, shabby,
  neat, polished, worn, ancient, modern, simple, curious, sturdy, fragile, battered, beautiful, broken, carved, clean,
  colourful, cracked, creaking, decorated, dented, dirty, expensive, famous, foreign, forgotten, gleaming, heavy,
  hollow, borrowed, knitted, lopsided, magnificent, mended, mysterious, narrow, odd, ornate, patched, precious, round,
  scratched, secondhand, silent, smooth, square, stained, striped, tattered, twisted, unusual, valuable
colour = red, blue, green, yellow, white, black, brown, grey, purple, orange, silver, golden, scarlet, pale blue,
  dark green, pink, turquoise, crimson, cream, violet, beige, olive, navy blue, light grey, bright yellow, copper,
  ivory
adv.way = slowly, quickly, quietly, carefully, suddenly, gently, eagerly, politely, firmly, nervously, happily,
  calmly, patiently, sharply, softly, proudly, warmly, briefly, abruptly, anxiously, awkwardly, boldly, bravely,
  cautiously, cheerfully, clumsily, coldly, crossly, dreamily, earnestly, faintly, fiercely, frankly, gladly, gravely,
  hastily, heavily, hesitantly, honestly, impatiently, innocently, kindly, lazily, loudly, modestly, neatly, openly,
  plainly, promptly, sadly, seriously, shyly, silently, smoothly, solemnly, steadily, sternly, stiffly, thoughtfully,
  tightly, wearily, wisely
adv.often = always, usually, often, sometimes, rarely, never, seldom, regularly, occasionally
adv.much = very, rather, quite, extremely, fairly, remarkably, unusually, surprisingly, a little
feeling = joy, sorrow, pride, relief, surprise, anger, fear, hope, envy, regret, gratitude, curiosity, boredom,
  excitement, admiration, affection, ambition, courage, delight, despair, disgust, doubt, enthusiasm, friendship,
  grief, guilt, happiness, hatred, honesty, jealousy, kindness, loneliness, loyalty, mercy, passion, pity, revenge,
  shame, sympathy, trust, vanity, wonder
animal = dog, cat, horse, cow, sheep/sheep, goat, pig, hen, goose/geese, duck, rabbit, donkey, fox, owl, heron, swan,
  badger, hedgehog, squirrel, otter, deer/deer, crow, robin, sparrow, mouse/mice, bee, butterfly, trout/trout, beetle,
  blackbird, bull, calf/calves, camel, chicken, cricket, cuckoo, dragonfly, eagle, eel, falcon, ferret, frog, gull,
  hamster, hare, jackdaw, ladybird, lamb, lark, lizard, magpie, mole, moth, nightingale, parrot, peacock, pheasant,
  pigeon, raven, salmon/salmon, seal, snail, spider, starling, swallow, toad, tortoise, turkey, turtle, wasp, weasel,
  wolf/wolves, woodpecker, worm
tree = oak, elm, beech, willow, pine, birch, chestnut, maple, cherry tree, apple tree, poplar, cedar, yew, plum tree,
  alder, ash/ashes, aspen, fir, hawthorn, hazel, holly, hornbeam, larch, lime tree, mulberry tree, pear tree, rowan,
  spruce, sycamore, walnut tree
flower = rose, tulip, daisy, lily, poppy, iris, violet, lavender bush, sunflower, primrose, daffodil, bluebell,
  foxglove, aster, azalea, begonia, buttercup, camellia, carnation, chrysanthemum, clover, cornflower, crocus, dahlia,
  forget-me-not, geranium, hyacinth, jasmine bush, lilac, lupin, magnolia, marigold, orchid, pansy, peony, petunia,
  snapdragon, snowdrop, water lily, zinnia
furniture = chair, table, desk, lamp, shelf/shelves, cupboard, bench, sofa, mirror, clock, carpet, curtain, bed,
  stool, drawer, wardrobe, bookcase, cushion, armchair, chest, coat rack, couch, cradle, cabinet, dresser, footstool,
  hammock, piano, rocking chair, rug, screen, sideboard, table lamp, trunk, washstand, writing desk
object = book, letter, key, coat, hat, bag, box, basket, bottle, umbrella, watch, ring, photograph, newspaper, map,
  ticket, notebook, pencil, wallet, camera, radio, candle, blanket, mug, parcel, suitcase, violin, whistle, lantern,
  ladder, rope, bucket, kite, drum, bell, telescope, compass, diary, postcard, envelope, accordion, album, almanac,
  anchor, apron, balloon, barometer, belt, bouquet, bow tie, bracelet, briefcase, broom, brush, cap,
  cardboard box/cardboard boxes, chessboard, coin, comb, cookbook, crate, crown, dictionary, doll, feather, flag,
  flute, fountain pen, glove, guitar, hammock, handbag, handkerchief, harp, horseshoe, jacket, jar, jewel, jug, lamp,
  letter opener, magnet, magazine, medal, microscope, mirror, mitten, model ship, music box, napkin, necklace, needle,
  painting, passport, pearl, pipe, pitcher, plate, poster, purse, puzzle, receipt, ribbon, sandwich/sandwiches,
  scarf/scarves, shawl, shoe, skate, sketch, slipper, songbook, spoon, stamp, statue, stopwatch, sweater, sword,
  tablecloth, teapot, thermometer, toolbox, towel, tray, trophy, trumpet, typewriter, vase, walking stick, wig, wreath
building = church, school, station, library, hospital, museum, theatre, bakery, factory, hotel, farmhouse, barn, mill,
  bank, post office, cinema, chapel, warehouse, garage, bookshop, cafe, inn, lighthouse, greenhouse, town hall,
  market hall, academy, almshouse, apartment house, archive, art gallery, barracks, bathhouse, boathouse, brewery,
  bus depot, castle, cathedral, clinic, college, concert hall, courthouse, creamery, dairy, fire station, foundry,
  guesthouse, gymnasium, monastery, observatory, orphanage, palace, pharmacy, police station, power station,
  pumping station, railway station, restaurant, sawmill, stable, summer house, swimming pool, tannery, tavern,
  teahouse, tower, vicarage, watermill, windmill, youth club
street = High Street, Mill Lane, Station Road, Church Street, Bridge Street, Market Square, Park Avenue, King Street,
  Queen Street, Orchard Road, River Walk, Chapel Lane, Garden Street, Castle Hill, Harbour Road, School Lane,
  Victoria Road, Abbey Road, Albert Street, Back Lane, Baker Street, Canal Street, Cedar Avenue, Cross Street,
  Elm Grove, Field Lane, Gas Street, Green Lane, Grove Road, Hill Street, Hospital Road, Kiln Lane, London Road,
  Long Lane, Meadow Way, Museum Street, New Street, North Street, Old Road, Pond Lane, Priory Road, Railway Terrace,
  Rectory Lane, Rose Lane, Silver Street, South Street, Spring Gardens, Theatre Street, Water Lane, West Street,
  Willow Walk, Windmill Hill
food = bread, cheese, soup, apple pie, fish, roast chicken, salad, porridge, cake, stew, rice, toast, ham, sausages,
  pasta, pancakes, chocolate, strawberries, lemon tart, mushrooms, potatoes, omelette, ginger biscuits, plum jam,
  almond biscuits, bacon, baked apples, baked beans, black pudding, boiled eggs, buttered toast, cherry tart,
  cold chicken, cucumber sandwiches, dumplings, fried fish, fruit salad, gingerbread, grilled trout, honey cake,
  jelly, kippers, lamb stew, lentil soup, macaroni, marmalade, meat pie, melon, muffins, mustard eggs, noodles,
  onion soup, peach pie, peanuts, pea soup, pickled herring, plum cake, poached eggs, raspberry tart, rhubarb pie,
  scones, shortbread, smoked salmon, spinach pie, sponge cake, toffee, tomato soup, vegetable stew, waffles, yoghurt
drink = tea, coffee, milk, cider, lemonade, apple juice, hot chocolate, water, red wine, ginger beer, apple cider,
  barley water, beer, black coffee, buttermilk, cherry juice, cocoa, cold milk, elderflower juice, iced tea, mint tea,
  mulled wine, orange juice, sherry, tomato juice, white wine
relative.f = mother, sister, aunt, grandmother, godmother, cousin, neighbour
relative.m = father, brother, uncle, grandfather, cousin, neighbour
season = spring, summer, autumn, winter
daytime = morning, afternoon, evening
weekday = Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday
month = January, February, March, April, May, June, July, August, September, October, November, December
subject = history, geography, physics, chemistry, biology, music, drawing, poetry, grammar, algebra, geometry, French,
  Latin, astronomy, botany, economics, German, Greek, handwriting, Italian, law, literature, mathematics, medicine,
  needlework, philosophy, religion, Russian, science, singing, Spanish, sports, statistics, woodwork, zoology
sky = clear, cloudy, grey, bright, dark, pale, heavy, misty, blue, stormy, overcast
weather.noun = rain, snow, fog, sunshine, wind, hail, frost, drizzle, thunder, mist, sleet, dew, lightning, heat,
  slush
road.thing = bus, lorry, bicycle, van, taxi, train, tram, motorcycle, car, ambulance, tractor, cart, carriage,
  coach/coaches, cement mixer, delivery van, fire engine, horse cart, ice cream van, milk float, minibus/minibuses,
  moped, motorboat, police car, rickshaw, scooter, snowplough, steam engine, trailer, wheelbarrow
masonry = stone, brick, timber, granite, concrete, limestone, sandstone, oak, marble, flint
solid = wood, steel, leather, copper, plastic, brass, iron, tin, oak, pine, aluminium, rubber, bamboo
material = wood, steel, glass, leather, cotton, wool, stone, brick, copper, plastic, paper, silk, brass, iron, clay, marble

verb.speak = answer, cry, mutter, whisper, sigh, shout, insist, laugh, murmur, grumble, suggest, declare, reply, call, joke,
  protest, snap/snaps/snapped/snapping, warn, yawn, nod/nods/nodded/nodding, smile, groan, exclaim, admit//admitted/admitting
verb.do = admire, avoid, bless, borrow, bury, carry, chase, clean, collect, copy, count, cover, damage, decorate, deliver,
  describe, destroy, discover, drop//dropped/dropping, examine, exchange, fetch, fix, fold, guard, hold//held/holding,
  ignore, inspect, inherit, invent, lift, lose//lost/losing, measure, mention, mend, notice, open, order, pack, paint,
  photograph, point at/points at/pointed at/pointing at, polish, praise, pull, push, recognise, recover, refuse, remember,
  rent, repair, replace, return, sell//sold/selling, share, sketch, smell, study, swallow, tie//tied/tying, touch, trade,
  treasure, trip over/trips over/tripped over/tripping over, unwrap//unwrapped/unwrapping, wash, weigh, wipe,
  wrap//wrapped/wrapping
say:
  said
  said
  said
  explained
  added
  noted
ago:
  {2-9:w} years ago
  last [week|month|year|{season}|{weekday}]
  a [week|month|year|fortnight] ago
  in {month}
when:
  on {weekday} {daytime}
  early on {weekday}
  late on {weekday}
  on {weekday}
  last {weekday}
nearby:
  near the {building}
  behind the {building}
  in {street}
  opposite the {building}
  on the corner of {street}
late.reason:
  because the road past the {building} was closed
  because of the {weather.noun}
  since nobody had the key
  as the {road.thing} with the players was late again
  after a long [talk|meeting|argument] about the {weather.noun}
weather.line:
  the sky was {sky} and there was {weather.noun} in the air
  it was {a} {sky} {daytime} with a little {weather.noun}
  the {weather.noun} had stopped and the sky was {sky}
  the {daytime} was [warm|cold|mild|windy|fresh|damp] and {sky}
scene:
  {a} {colour} {animal} was [sleeping|waiting|standing|resting] under the {tree}
  {a} {adj.look} {furniture} stood beside the window
  somebody had left {a} {colour} {object} on the {furniture}
  two {animal:s} were [playing|quarrelling|feeding] {nearby}
  a row of {flower:s} grew along the wall
  the smell of {food} came from the kitchen
  {a} {adj.look} {road.thing} went past {nearby}
  {p2=person}, {a} {adj.mood} {p2:job}, {verb.do:ed} {a} {adj.look} {object} and went away {adv.way}
  a boy [carried|pushed|dropped|guarded] {a} {adj.size} {object} and {verb.do:ed} it {adv.way}
  an old woman with {a} {colour} {object} {verb.do:ed} {a} {animal}
  nobody {verb.do:ed} the {adj.look} {object} that lay {nearby}
  someone had {verb.do:ed} the {object} and left only {a} {furniture}
thought:
  it is better to ask twice than to go wrong once
  a good {object} is worth more than three cheap ones
  nobody forgets the first {season} in a new place
  patience costs nothing and saves a great deal
  the best plan is the one that people understand
  small things matter more than they seem to
  every {furniture} has a story if you listen
  what is done with care lasts longer
  {feeling} is {a} {adj.bad} teacher but {a} {adj.good} servant
  there is no {feeling} without {feeling}
  whoever has {a} {animal} needs no {object}
  {a} {adj.mood} {animal} is better than {a} {adj.mood} neighbour
  the {adj.look} {object} is not always the worst
  {feeling} comes and goes like the {weather.noun}
  one should never {verb.do} what belongs to others
  it takes {2-9:w} people to {verb.do} {a} {object} and one to {verb.do} it again
)";

}  // namespace sixteen
