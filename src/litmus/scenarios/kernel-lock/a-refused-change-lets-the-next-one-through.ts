import { play } from '../../language/index.js'

export const scenario = play(`
scenario kernel-lock/a-refused-change-lets-the-next-one-through
claim A truncate that is refused holds nobody up.
rules X1 X2
file f
process holder alice
process breaker bob
process other bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
breaker:  truncate f 0 -> ETXTBSY
other:    g = open f rdwr
other:    write g 0 10 -> ok 10
other:    unlink f
`)
