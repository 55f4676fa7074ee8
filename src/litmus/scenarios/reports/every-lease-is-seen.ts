import { play } from '../../language/index.js'

export const scenario = play(`
scenario reports/every-lease-is-seen
claim A report shows each lease with mode, level, state, owners and pins, and no lease that has ended.
rules R1
file f
process holder alice
process friend bob

holder:  fd = open f rdwr
holder:  A = lease fd exclusive write 0..4096
holder:  B = lease fd normal read 4096..
holder:  send fd to friend as g
friend:  own g B add self
holder:  P = pin fd A 0..100
lease A active exclusive write with-say pins 1 owners holder
lease B active normal read with-say pins 0 owners friend holder
friend:  release g B
lease B none
`)
