import { play } from '../../language/index.js'

export const scenario = play(`
scenario limits/pins-of-one-user
claim A user at the limit of pins gets ENOLCK, but counts one up that is there.
rules L9 P3
limits pins 1
file f
process holder alice

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
holder:  P = pin fd A 0..4096 -> ok 1
holder:  Q = pin fd A 4096..8192 -> ENOLCK
holder:  P = pin fd A 0..4096 -> ok 2
holder:  unpin fd P
holder:  unpin fd P
holder:  Q = pin fd A 4096..8192 -> ok 1
`)
