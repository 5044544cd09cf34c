use super::*;

/// Where each character of a text with `[...]` put in stands in the text without.
#[test]
fn a_position_is_told_as_the_client_counts() {
    for (marked, expected) in [
        ("ab[XY]cd", "1 2 3 3 3 4 5"),
        ("é[XY]", "1 2 2 2"),
        ("[XY]ab[Z]", "1 1 1 2 3 3"),
        ("ab", "1 2 3"),
    ] {
        let mut places = Places::default();
        let mut length = 0;
        for (at, part) in marked.split(['[', ']']).enumerate() {
            if at % 2 == 0 {
                places.clients(part.as_bytes());
            } else {
                places.own(part.as_bytes());
            }
            length += part.chars().count();
        }
        let found: Vec<_> =
            (1..=length + 1).map(|at| places.clients_position(at).to_string()).collect();
        assert_eq!(found.join(" "), expected, "{marked}");
    }
}
