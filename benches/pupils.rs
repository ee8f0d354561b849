//! A made-up school: people in year groups and classes, and when they are at a computer.

use crate::chance::{Chance, Zipf, mix2};
use crate::web::word;
use std::net::IpAddr;

/// People with a name.
pub(crate) const PEOPLE: usize = 1200;

/// Level names.
pub(crate) const LEVELS: [&str; 5] = ["ks3", "ks4", "sixth", "staff", "guest"];

/// Pupils of a class.
const CLASS: usize = 28;

/// One person.
#[derive(Debug)]
pub(crate) struct Person {
    /// `None`: somebody who did not sign in.
    pub(crate) user: Option<String>,
    pub(crate) level: u8,
    pub(crate) class: u32,
    clients: [IpAddr; 3],
}

impl Person {
    /// The address on a day and at a time of it: a room's computer, or an own one.
    pub(crate) fn client(&self, seed: u64) -> IpAddr {
        self.clients[(mix2(seed, 5) % 4).min(2) as usize]
    }

    pub(crate) fn is_staff(&self) -> bool {
        self.level == 3
    }
}

/// A stretch of the day: first minute, length, how much is asked in it, and whether it is a lesson.
const SLOTS: [(i64, i64, f64, bool); 10] = [
    (510, 30, 0.3, false),
    (540, 60, 1.0, true),
    (600, 60, 1.1, true),
    (660, 20, 0.45, false),
    (680, 60, 1.1, true),
    (740, 60, 1.0, true),
    (800, 40, 0.9, false),
    (840, 60, 1.0, true),
    (900, 120, 0.35, false),
    (1020, 300, 0.15, false),
];

/// The school.
#[derive(Debug)]
pub(crate) struct School {
    pub(crate) people: Vec<Person>,
    eagerness: Zipf,
    slots: Vec<f64>,
}

/// Somebody opens a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) person: u16,
    /// Milliseconds since midnight.
    pub(crate) at: i64,
    /// The class and the lesson of the day, where it is one.
    pub(crate) lesson: Option<u64>,
}

impl School {
    /// Makes the school.
    pub(crate) fn new() -> Self {
        let person = |place: usize| {
            let seed = place as u64;
            let level = match place * 100 / PEOPLE {
                0..45 => 0,
                45..75 => 1,
                75..88 => 2,
                88..97 => 3,
                _ => 4,
            };
            let user =
                format!("{}.{}{:02}", &word(mix2(seed, 1))[..1], word(mix2(seed, 2)), place % 100);
            let client = |kind: u64| {
                let number = mix2(seed, kind) as u16;
                IpAddr::from([10, 20 + kind as u8, (number >> 8) as u8, number as u8])
            };
            Person {
                user: (level != 4).then_some(user),
                level,
                class: (place / CLASS) as u32,
                clients: [client(0), client(1), client(2)],
            }
        };
        let mut sum = 0.0;
        let slots = SLOTS.iter().map(|(.., weight, _)| {
            sum += weight;
            sum
        });
        let people = (0..PEOPLE).map(person).collect();
        Self { people, eagerness: Zipf::new(PEOPLE, 0.35), slots: slots.collect() }
    }

    /// A visit on a day.
    pub(crate) fn visit(&self, day: u64, chance: &mut Chance) -> Visit {
        let all = self.slots.last().copied().unwrap_or(1.0);
        loop {
            let wanted = chance.part() * all;
            let slot = self.slots.partition_point(|sum| *sum <= wanted).min(SLOTS.len() - 1);
            let (first, minutes, _, is_lesson) = SLOTS[slot];
            // The eager ones are anywhere in the school.
            let place = mix2(self.eagerness.pick(chance) as u64, 9) as usize % PEOPLE;
            let person = &self.people[place];
            let lesson = mix2(mix2(day, slot as u64), u64::from(person.class));
            // A class has computers in two lessons of five.
            if is_lesson && !person.is_staff() && lesson % 5 >= 2 {
                continue;
            }
            let at = first * 60_000 + (chance.part() * minutes as f64 * 60_000.0) as i64;
            let lesson = (is_lesson && !person.is_staff()).then_some(lesson);
            return Visit { person: place as u16, at, lesson };
        }
    }
}
