import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/root-is-refused-too
claim Root's changes are refused like everybody's, and root can look up why.
rules X1 R4
file f
process holder alice
process admin root

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
admin:   truncate f 0 -> ETXTBSY
admin:   g = open f rdonly
admin:   query g truncate -> ETXTBSY
`)
