//! The loop of a game: it takes commands, moves its world on, and shows it. The world is Conway's Life on a torus. Commands and frames are values, in CBOR.

use serde::{Deserialize, Serialize};
use tasklet_guest::{Channel, Error, entry};

const SIZE: usize = 16;

/// What a player can do.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Command {
    /// Sets a glider, which flies to the lower right.
    Glider { x: u8, y: u8 },
    /// Lets the world move on.
    Step,
    /// Ends the game.
    Stop,
}

/// What a player sees.
#[derive(Serialize)]
struct Frame {
    round: u32,
    alive: usize,
    rows: Vec<String>,
}

entry! {
    fn game() {
        play().expect("nobody closes the game's channels");
    }
}

#[derive(Default)]
struct World {
    round: u32,
    cells: [[bool; SIZE]; SIZE],
}

fn play() -> Result<(), Error> {
    let commands = Channel::named("commands")?;
    let frames = Channel::named("frames")?;
    let mut world = World::default();
    loop {
        match commands.receive_value()? {
            Command::Glider { x, y } => world.set_glider(x, y),
            Command::Step => {
                world.step();
                frames.send_value(&world.frame())?;
            }
            Command::Stop => return Ok(()),
        }
    }
}

impl World {
    fn set_glider(&mut self, x: u8, y: u8) {
        for (dx, dy) in [(1, 0), (2, 1), (0, 2), (1, 2), (2, 2)] {
            let (x, y) = (usize::from(x) + dx, usize::from(y) + dy);
            self.cells[y % SIZE][x % SIZE] = true;
        }
    }

    fn neighbours(&self, x: usize, y: usize) -> usize {
        let around = [SIZE - 1, 0, 1];
        let places = around.iter().flat_map(|dy| around.iter().map(move |dx| (dx, dy)));
        let others = places.filter(|place| *place != (&0, &0));
        others.filter(|(dx, dy)| self.cells[(y + *dy) % SIZE][(x + *dx) % SIZE]).count()
    }

    fn step(&mut self) {
        let mut next = [[false; SIZE]; SIZE];
        for (y, row) in next.iter_mut().enumerate() {
            for (x, cell) in row.iter_mut().enumerate() {
                let neighbours = self.neighbours(x, y);
                *cell = neighbours == 3 || (neighbours == 2 && self.cells[y][x]);
            }
        }
        self.cells = next;
        self.round += 1;
    }

    fn frame(&self) -> Frame {
        let row = |row: &[bool; SIZE]| row.map(|alive| if alive { '#' } else { '.' });
        Frame {
            round: self.round,
            alive: self.cells.iter().flatten().filter(|alive| **alive).count(),
            rows: self.cells.iter().map(|cells| row(cells).iter().collect()).collect(),
        }
    }
}
