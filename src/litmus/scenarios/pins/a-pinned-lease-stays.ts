import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/a-pinned-lease-stays
claim A lease with pins is neither released nor lowered below exclusive; releasing all is all or nothing.
rules P4
file f
process holder alice

holder:  fd = open f rdwr
holder:  A = lease fd exclusive write
holder:  B = lease fd normal read
holder:  P = pin fd A 0..4096
holder:  release fd A -> EBUSY
holder:  release fd all -> EBUSY
holder:  change fd A normal write -> EBUSY
lease B active
holder:  change fd A exclusive read
lease A active exclusive read pins 1
holder:  unpin fd P
holder:  release fd all
lease A none
lease B none
`)
