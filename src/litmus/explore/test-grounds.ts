/** Small programs whose orders show what random histories seldom come upon. */
import { parseScenario } from '../language/index.js'
import type { Scenario } from '../scenario.js'

const TEXTS = [
  `
scenario ground/mapping-of-other-bytes
claim A lease ends with its last descriptor when its owner maps other bytes only.
rules L7
file f 16384 bytes
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read 0..4096
holder:   m = map fd 8192..12288
holder:   close fd
breaker:  truncate f 0
`,
  `
scenario ground/order-of-changes
claim A change that only waits for one lease does not overtake one that came before and waits for two.
rules B4
file f 16384 bytes
process near alice
process far alice
process first bob
process second bob

near:    fd = open f rdonly
near:    A = lease fd normal read 0..4096
far:     fd = open f rdonly
far:     B = lease fd normal read 8192..12288
first:   fd = open f rdwr trunc
second:  truncate f 8192
far:     release fd B
near:    release fd A
`,
  `
scenario ground/behind-a-request-that-fails
claim Who waits behind a request goes on when that fails, also when it fails because of the one behind it.
rules L4 L6
file f 16384 bytes
process reader root
process writer alice

writer:  near = open f rdwr
writer:  far = open f rdwr
writer:  A = lease near normal read 0..8192
reader:  fd = open f rdwr
reader:  B = lease fd normal read
reader:  change fd B normal write wait
writer:  C = lease far normal write wait 8192..16384
`,
  `
scenario ground/pinned-by-a-context-alone
claim A lease without owners that a context pins is not seized, since there is nobody to kill.
rules X4
file f
process holder alice
process admin root

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
holder:  c = context
holder:  P = pin c A
holder:  own fd A remove self
admin:   revoke A kill
`,
  `
scenario ground/zombie-of-a-writer
claim A zombie protects its whole range, from its owner too.
rules P5
file f
process writer alice

writer:  fd = open f rdwr
writer:  A = lease fd exclusive write
writer:  P = pin fd A 0..4096
writer:  close fd
writer:  truncate f 4096
`,
]

export const GROUNDS: readonly Scenario[] = TEXTS.map(parseScenario)
