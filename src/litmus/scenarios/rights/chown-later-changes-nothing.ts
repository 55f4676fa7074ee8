import { play } from '../../language/index.js'

export const scenario = play(`
scenario rights/chown-later-changes-nothing
claim A lease stays what it was when the file is given to somebody else; the next one is judged afresh.
rules L8
question What if the file changes hands after the lease was taken?
file f
process holder alice
process admin root
process heir bob

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
admin:   chown f bob
heir:    truncate f 0 -> ETXTBSY
lease A active exclusive with-say
holder:  B = lease fd exclusive read -> EPERM
`)
