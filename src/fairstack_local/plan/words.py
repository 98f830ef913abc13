"""The vocabulary of the scene engine: which words mean what. Data only; a new word is a new entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fairstack_local.plan.scene_plan import Action, Coat, Hour, Move, Place, Subject, Weather


class Note(StrEnum):
    """Words that are understood without being a part of the plan."""

    SLOW_MOTION = "slow motion"
    TIME_LAPSE = "time-lapse"
    SEVERAL = "several"
    FILLER = "filler"


@dataclass(frozen=True, slots=True)
class Breed:
    """A subject together with the coat that its name implies."""

    subject: Subject
    coat: Coat


@dataclass(frozen=True, slots=True)
class Unable:
    """Something that no subject of ours can do, and what it does instead."""

    instead: Action


Meaning = Subject | Breed | Coat | Action | Unable | Place | Hour | Weather | Move | Note

_TABLE: tuple[tuple[Meaning, str], ...] = (
    (Breed(Subject.DOG, Coat.GOLDEN), "golden retriever, golden retrievers, retriever, golden dog"),
    (Breed(Subject.DOG, Coat.HUSKY), "husky, huskies, malamute, sled dog"),
    (Breed(Subject.DOG, Coat.BLACK), "black lab, black labrador, rottweiler, doberman"),
    (Breed(Subject.DOG, Coat.WHITE), "samoyed"),
    (Breed(Subject.DOG, Coat.BROWN), "chocolate lab, chocolate labrador"),
    (Breed(Subject.DOG, Coat.GOLDEN), "labrador, lab, yellow lab, yellow labrador"),
    (Breed(Subject.DOG, Coat.RED), "irish setter, setter, vizsla"),
    (
        Subject.DOG,
        "dog, dogs, puppy, puppies, pup, hound, doggy, corgi, beagle, collie, shepherd, terrier, spaniel",
    ),
    (Subject.WOLF, "wolf, wolves, coyote"),
    (Subject.FOX, "fox, foxes"),
    (Breed(Subject.FOX, Coat.WHITE), "arctic fox"),
    (Subject.BIRD, "bird, birds, gull, gulls, seagull, seagulls, albatross, tern"),
    (Breed(Subject.BIRD, Coat.BROWN), "eagle, eagles, hawk, falcon, buzzard, kite"),
    (Breed(Subject.BIRD, Coat.BLACK), "crow, raven, crows, ravens, blackbird"),
    (
        Subject.SAILBOAT,
        "sailboat, sailboats, sailing boat, sailing ship, boat, boats, yacht, ship, sloop, dinghy",
    ),
    (Coat.BLACK, "black, dark-coated"),
    (Coat.WHITE, "white, snow-white"),
    (Coat.BROWN, "brown, chocolate, chestnut, bay"),
    (Coat.GREY, "grey, gray, silver"),
    (Coat.GOLDEN, "golden, blond, blonde, yellow, tan, palomino"),
    (Coat.RED, "red, ginger, orange"),
    (
        Action.RUN,
        "run, runs, running, gallop, gallops, galloping, sprint, sprints, sprinting, race, races, racing",
    ),
    (
        Action.RUN,
        "dash, dashes, dashing, bound, bounds, bounding, charge, charging, chase, chasing, jog, jogging",
    ),
    (
        Action.WALK,
        "walk, walks, walking, trot, trots, trotting, stroll, strolls, strolling, wander, wandering",
    ),
    (Action.WALK, "stalk, stalking, prowl, prowling, pace, pacing, strut, strutting"),
    (
        Action.STAND,
        "stand, stands, standing, wait, waits, waiting, look, looks, looking, watch, watches, watching",
    ),
    (
        Action.FLY,
        "fly, flies, flying, soar, soars, soaring, glide, glides, gliding, in flight, hover, hovering",
    ),
    (Action.SAIL, "sail, sails, sailing, float, floats, floating, drift, drifts, drifting, cruise, cruising"),
    (
        Unable(Action.STAND),
        "sit, sits, sitting, lie, lies, lying, sleep, sleeps, sleeping, rest, resting, eat, eating",
    ),
    (
        Unable(Action.STAND),
        "drink, drinking, bark, barking, howl, howling, sniff, sniffing, dig, digging, smile",
    ),
    (
        Unable(Action.RUN),
        "jump, jumps, jumping, leap, leaps, leaping, play, plays, playing, swim, swims, swimming",
    ),
    (
        Unable(Action.RUN),
        "dance, dances, dancing, fetch, fetching, catch, catching, splash, splashing, roll, rolling",
    ),
    (Place.BEACH, "beach, beaches, shore, seashore, seaside, coast, coastline, shoreline, sand, surf"),
    (Place.SEA, "sea, ocean, seas, open sea, open ocean, open water, high seas, waves, wave"),
    (
        Place.MEADOW,
        "meadow, meadows, field, fields, grass, grassland, pasture, prairie, hills, hill, hillside, park",
    ),
    (Place.MEADOW, "lawn, countryside, plain, plains, steppe, garden, wheat field, savanna, savannah"),
    (Place.DUNES, "desert, dune, dunes, sand dunes, desert dunes, sahara"),
    (
        Place.SNOWFIELD,
        "snow field, snowfield, snowy field, snow-covered field, tundra, arctic, ice field, in the snow",
    ),
    (
        Place.SNOWFIELD,
        "snowy, snow-covered, snowy plain, through snow, through the snow, deep snow, on snow, winter",
    ),
    (
        Place.SNOWFIELD,
        "in snow, over snow, fresh snow, snowy landscape, winter landscape, antarctic, across snow",
    ),
    (
        Place.LAKE,
        "lake, lakes, mountain, mountains, mountain lake, alpine lake, alps, fjord, lakeside, peaks, peak",
    ),
    (Hour.SUNRISE, "sunrise, dawn, daybreak, early morning, first light, morning"),
    (
        Hour.DAY,
        "day, daytime, midday, noon, daylight, sunny, sunny day, bright day, sunshine, blue sky, afternoon",
    ),
    (Hour.GOLDEN_HOUR, "golden hour, late afternoon, golden light, warm light, evening light, evening sun"),
    (Hour.SUNSET, "sunset, sundown, setting sun, evening"),
    (Hour.DUSK, "dusk, twilight, blue hour, nightfall, gloaming"),
    (
        Hour.NIGHT,
        "night, nighttime, midnight, moonlight, moonlit, moon, full moon, starry, stars, starry night",
    ),
    (Hour.NIGHT, "at night, under the stars, starlight, starry sky, night sky"),
    (Weather.CLEAR, "clear, clear sky, cloudless, clear skies"),
    (
        Weather.CLOUDY,
        "cloudy, overcast, grey sky, gray sky, stormy, storm, storm clouds, dramatic clouds, moody sky",
    ),
    (Weather.CLOUDY, "heavy clouds, dark clouds, stormy sky, dramatic sky"),
    (Weather.FAIR, "clouds, cloud, partly cloudy, scattered clouds"),
    (Weather.FOG, "fog, foggy, mist, misty, haze, hazy"),
    (Weather.RAIN, "rain, rainy, raining, drizzle, downpour, rainfall, pouring rain, in the rain"),
    (
        Weather.SNOW,
        "snowing, snowfall, falling snow, snowflakes, blizzard, snow falling, snow falls, snowstorm",
    ),
    (
        Move.TRACK,
        "tracking, tracking shot, track, tracks, following, follows, follow, camera follows, alongside",
    ),
    (
        Move.STATIC,
        "static, static shot, static camera, locked, locked-off, fixed camera, still camera, tripod",
    ),
    (
        Move.PUSH_IN,
        "push in, pushes in, pushing in, push-in, zoom in, zooms in, zooming in, dolly in, dollies in",
    ),
    (Move.PUSH_IN, "move closer, moves closer, moving closer, slow zoom, camera approaches"),
    (
        Move.PULL_OUT,
        "pull out, pulls out, pulling out, pull back, pulls back, pulling back, zoom out, zooms out",
    ),
    (Move.PULL_OUT, "zooming out, dolly out, dollies out, pull-out, moves away"),
    (Move.PAN_LEFT, "pan left, pans left, panning left, pan to the left, pans to the left, camera pans left"),
    (
        Move.PAN_RIGHT,
        "pan right, pans right, panning right, pan to the right, pans to the right, pan, pans, panning",
    ),
    (Move.TILT_UP, "tilt up, tilts up, tilting up, camera tilts up"),
    (Move.TILT_DOWN, "tilt down, tilts down, tilting down, camera tilts down"),
    (Move.ORBIT, "orbit, orbits, orbiting, arc shot, circles, circling, around it, rotates around, revolves"),
    (
        Note.SLOW_MOTION,
        "slow motion, slow-motion, slow mo, slowmo, slow-mo, slo-mo, slomo, in slow motion, high speed",
    ),
    (Note.TIME_LAPSE, "time lapse, time-lapse, timelapse, fast motion, hyperlapse"),
    (
        Note.SEVERAL,
        "two, three, four, five, several, many, group of, pack of, herd of, flock of, herd, pack, flock",
    ),
    (
        Note.FILLER,
        "a, an, the, this, that, its, it, his, her, their, and, or, but, with, of, in, on, at, to, from, by",
    ),
    (
        Note.FILLER,
        "for, as, is, are, be, being, while, into, over, under, across, along, through, near, toward, on",
    ),
    (
        Note.FILLER,
        "behind, above, below, beside, between, up, down, out, off, around, past, against, very, some, one",
    ),
    (
        Note.FILLER,
        "there, where, which, who, during, until, then, has, have, happily, gently, slowly, slow, quickly",
    ),
    (
        Note.FILLER,
        "fast, freely, playfully, gracefully, majestic, happy, playful, graceful, majestically, calm, calmly",
    ),
    (
        Note.FILLER,
        "beautiful, lovely, stunning, gorgeous, epic, cinematic, photo, realistic, photorealistic, detailed",
    ),
    (
        Note.FILLER,
        "highly, hyper, ultra, hd, 4k, 8k, 720p, 1080p, high, quality, resolution, video, clip, footage",
    ),
    (
        Note.FILLER,
        "shot, shots, scene, film, movie, camera, view, wide, medium, angle, low, lens, 35mm, 50mm, frame",
    ),
    (
        Note.FILLER,
        "style, movement, motion, smooth, steady, soft, warm, light, lighting, natural, big, small, large",
    ),
    (
        Note.FILLER,
        "little, young, old, wild, lone, single, empty, quiet, peaceful, serene, vast, wide open, open",
    ),
    (
        Note.FILLER,
        "sun, sky, skies, water, horizon, distance, background, foreground, landscape, nature, outdoors",
    ),
    (
        Note.FILLER,
        "breeze, wind, windy, colors, colours, colorful, reflection, reflections, shadow, shadows, air",
    ),
    (
        Note.FILLER,
        "towards, fur, fluffy, coat, mane, tail, ears, wings, green, blue, pink, purple, bright, golden sand",
    ),
    (
        Note.FILLER,
        "snow, sandy, grassy, wet, wet sand, edge, middle, top, toward the camera, gentle, rolling, tall",
    ),
    (
        Note.FILLER,
        "rolling hills, tall grass, green grass, lush, white sand, blue water, blue ocean, blue sea, am, pm",
    ),
    (
        Note.FILLER,
        "dramatic, moody, atmosphere, atmospheric, depth, field of view, full, best, award, winning",
    ),
)

MULTIPLES = frozenset(
    [
        "dogs",
        "puppies",
        "huskies",
        "wolves",
        "foxes",
        "birds",
        "gulls",
        "seagulls",
        "eagles",
        "crows",
        "ravens",
        "sailboats",
        "boats",
    ]
)

_PLACES_BY_PHRASE = {
    "rolling hills": Place.MEADOW,
    "tall grass": Place.MEADOW,
    "green grass": Place.MEADOW,
    "wet sand": Place.BEACH,
    "golden sand": Place.BEACH,
    "white sand": Place.BEACH,
    "blue ocean": Place.SEA,
    "blue sea": Place.SEA,
    "snow": Place.SNOWFIELD,
}


def vocabulary() -> Mapping[tuple[str, ...], Meaning]:
    """Every known phrase, as a tuple of its words, with what it means."""
    known: dict[tuple[str, ...], Meaning] = {}
    for meaning, phrases in _TABLE:
        for phrase in phrases.split(", "):
            known[tuple(phrase.replace("-", " ").split())] = meaning
    for phrase, place in _PLACES_BY_PHRASE.items():
        known[tuple(phrase.split())] = place
    return known
