import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/ones-own-is-a-deadlock
claim An owner that runs into its own exclusive lease gets EDEADLK, also if others refuse it as well.
rules X1 X3
file f
process holder alice
process other bob

holder:  fd = open f rdwr
holder:  A = lease fd exclusive read
holder:  truncate f 0 -> EDEADLK
told A refused by holder
other:   g = open f rdwr
other:   B = lease g exclusive read
holder:  ftruncate fd 0 -> EDEADLK
other:   ftruncate g 0 -> EDEADLK
told A refused by holder, B refused by holder, A refused by other, B refused by other
`)
