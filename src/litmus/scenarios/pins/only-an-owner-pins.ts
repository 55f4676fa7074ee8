import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/only-an-owner-pins
claim A pin needs an owner of an exclusive lease that covers the range; otherwise it is EPERM.
rules P1
file f
process holder alice
process friend alice
process other alice

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read 0..4096
holder:  P = pin fd A 0..4096 -> ok 1
holder:  Q = pin fd A 0..4097 -> EPERM
holder:  send fd to friend as g
friend:  Q = pin g A 0..4096 -> EPERM
friend:  own g A add self
friend:  Q = pin g A 0..4096 -> ok 1
other:   h = open f rdonly
other:   R = pin h A 0..4096 -> EPERM
other:   N = lease h normal read
other:   R = pin h N 0..4096 -> EPERM
lease A pins 2
`)
