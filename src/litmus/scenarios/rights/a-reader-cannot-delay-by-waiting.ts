import { play } from '../../language/index.js'

export const scenario = play(`
scenario rights/a-reader-cannot-delay-by-waiting
claim Who may not delay others breaks nobody's lease by asking for one.
rules L8 L6
file f
process holder alice
process reader bob

holder:  fd = open f rdonly
holder:  A = lease fd normal read
reader:  g = open f rdonly
reader:  B = lease g normal write wait -> EAGAIN
reader:  B = lease g normal write start -> EAGAIN
told nothing
lease A active
`)
