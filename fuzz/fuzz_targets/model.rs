//! The session between the models of a client and a server: what the client was told is stored is
//! stored, and nothing else is; each message gets its reply.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgabsorb_fuzz::model::world::{World, catalog, rules};
use pgabsorb_fuzz::script::{Script, Step};

fuzz_target!(|data: &[u8]| {
    let mut world = World::new(&rules(), &catalog());
    for step in Script::of(data) {
        match step {
            Step::Send(messages) => messages.iter().for_each(|message| world.send(message)),
            Step::Up(piece) => world.step_up(piece),
            Step::Down(piece) => world.step_down(piece),
            Step::Deliver(piece) => world.deliver(piece),
        }
    }
    world.settle();
    assert_eq!(world.client.believed(), world.server.stored());
});
