import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/pins-count
claim The same range pinned twice by one owner is one pin that takes two unpins.
rules P3
file f
process holder alice

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
holder:  c = context
holder:  P = pin fd A 0..4096 -> ok 1
holder:  Q = pin fd A 0..4096 -> ok 2
holder:  R = pin c A 0..4096 -> ok 1
lease A pins 2
holder:  unpin fd P
lease A pins 2
holder:  unpin fd Q
lease A pins 1
holder:  unpin fd P -> ENOENT
holder:  unpin c R
lease A pins 0
`)
