import { OK } from '../api.js'
import { ENTRY, ENTRY_BYTES, type GoldenRow } from './rows.js'

export const NAME_ROWS: readonly GoldenRow[] = [
  {
    operation: 'LOOKUP',
    request: '"name\\0"  name',
    fileSystem: (call) => ({ lookup: (_, ...args) => call(args, ENTRY) }),
    expected: ['name\0'],
    reply: ENTRY_BYTES,
  },
  {
    operation: 'SYMLINK',
    request: `
      "link\\0"     name
      "../to\\0"    target`,
    fileSystem: (call) => ({ symlink: (_, ...args) => call(args, ENTRY) }),
    expected: ['link\0', '../to\0'],
    reply: ENTRY_BYTES,
  },
  {
    operation: 'MKNOD',
    request: `
      b0210000  mode S_IFCHR 0660
      05010000  rdev 1:5
      12000000  umask 022
      00000000  padding
      "zero\\0" name`,
    fileSystem: (call) => ({ mknod: (_, ...args) => call(args, ENTRY) }),
    expected: ['zero\0', 0o20660, 261, 0o22],
    reply: ENTRY_BYTES,
  },
  {
    operation: 'MKDIR',
    request: `
      ed010000  mode 0755
      12000000  umask 022
      "d\\0"    name`,
    fileSystem: (call) => ({ mkdir: (_, ...args) => call(args, ENTRY) }),
    expected: ['d\0', 0o755, 0o22],
    reply: ENTRY_BYTES,
  },
  {
    operation: 'LINK',
    request: `
      0700000000000000  oldnodeid
      "new\\0"          name`,
    fileSystem: (call) => ({ link: (_, ...args) => call(args, ENTRY) }),
    expected: [7, 'new\0'],
    reply: ENTRY_BYTES,
  },
  {
    operation: 'UNLINK',
    request: '"old\\0"  name',
    fileSystem: (call) => ({ unlink: (_, ...args) => call(args, OK) }),
    expected: ['old\0'],
    reply: '',
  },
  {
    operation: 'RMDIR',
    request: '"old\\0"  name',
    fileSystem: (call) => ({ rmdir: (_, ...args) => call(args, OK) }),
    expected: ['old\0'],
    reply: '',
  },
  {
    operation: 'RENAME',
    request: `
      0900000000000000  newdir
      "a\\0"            old name
      "b\\0"            new name`,
    fileSystem: (call) => ({ rename: (_, ...args) => call(args, OK) }),
    expected: ['a\0', 9, 'b\0', 0],
    reply: '',
  },
  {
    operation: 'RENAME2',
    request: `
      0900000000000000  newdir
      01000000          flags RENAME_NOREPLACE
      00000000          padding
      "a\\0"            old name
      "b\\0"            new name`,
    fileSystem: (call) => ({ rename: (_, ...args) => call(args, OK) }),
    expected: ['a\0', 9, 'b\0', 1],
    reply: '',
  },
]
