import { OK } from '../api.js'
import { ATTR_REPLY, ATTR_REPLY_BYTES, type GoldenRow } from './rows.js'

export const ATTRIBUTE_ROWS: readonly GoldenRow[] = [
  {
    operation: 'GETATTR',
    request: `
      01000000          getattr_flags FUSE_GETATTR_FH
      00000000          dummy
      0100000000000000  fh`,
    fileSystem: (call) => ({ getattr: (_, ...args) => call(args, ATTR_REPLY) }),
    expected: [1],
    reply: ATTR_REPLY_BYTES,
  },
  {
    operation: 'SETATTR',
    request: `
      68080000          valid FATTR_SIZE|FATTR_MTIME|FATTR_FH|FATTR_KILL_SUIDGID
      00000000          padding
      0100000000000000  fh
      0010000000000000  size 4096
      0000000000000000  lock_owner
      0000000000000000  atime
      feffffffffffffff  mtime -2
      0000000000000000  ctime
      00000000          atimensec
      09000000          mtimensec
      00000000          ctimensec
      00000000          mode
      00000000          unused4
      00000000          uid
      00000000          gid
      00000000          unused5`,
    fileSystem: (call) => ({ setattr: (_, ...args) => call(args, ATTR_REPLY) }),
    expected: [
      {
        valid: 0x868,
        fh: 1,
        size: 4096,
        atime: 0,
        mtime: -2,
        ctime: 0,
        atimeNsec: 0,
        mtimeNsec: 9,
        ctimeNsec: 0,
        mode: 0,
        uid: 0,
        gid: 0,
      },
    ],
    reply: ATTR_REPLY_BYTES,
  },
  {
    operation: 'STATX',
    request: `
      00000000          getattr_flags
      00000000          reserved
      0000000000000000  fh
      00000000          sx_flags
      ff0f0000          sx_mask STATX_BASIC_STATS|STATX_BTIME
    `,
    fileSystem: (call) => ({
      statx: (_, ...args) =>
        call(args, {
          attrValidMs: 1000,
          mask: 0xfff,
          blksize: 4096,
          attributes: 2n ** 63n,
          attributesMask: 1n,
          nlink: 2,
          uid: 3,
          gid: 4,
          mode: 0o100600,
          ino: 5n,
          size: 6,
          blocks: 7,
          atime: [-1, 8],
          btime: [9, 10],
          ctime: [11, 12],
          mtime: [13, 14],
          rdevMajor: 15,
          rdevMinor: 16,
          devMajor: 17,
          devMinor: 18,
        }),
    }),
    expected: [null, 0, 0xfff],
    reply: `
      0100000000000000  attr_valid 1 s
      00000000          attr_valid_nsec
      00000000          flags
      00000000000000000000000000000000  spare
      ff0f0000          stat.mask
      00100000          stat.blksize 4096
      0000000000000080  stat.attributes
      02000000          stat.nlink
      03000000          stat.uid
      04000000          stat.gid
      8081              stat.mode 0100600
      0000              stat.__spare0
      0500000000000000  stat.ino
      0600000000000000  stat.size
      0700000000000000  stat.blocks
      0100000000000000  stat.attributes_mask
      ffffffffffffffff0800000000000000  stat.atime
      09000000000000000a00000000000000  stat.btime
      0b000000000000000c00000000000000  stat.ctime
      0d000000000000000e00000000000000  stat.mtime
      0f000000          stat.rdev_major
      10000000          stat.rdev_minor
      11000000          stat.dev_major
      12000000          stat.dev_minor
      ${'0000000000000000'.repeat(14)}  stat.__spare2`,
  },
  {
    operation: 'READLINK',
    request: '',
    fileSystem: (call) => ({ readlink: () => call([], Buffer.from('../to')) }),
    expected: [],
    reply: '"../to"',
  },
  {
    operation: 'STATFS',
    request: '',
    fileSystem: (call) => ({
      statfs: () =>
        call([], {
          blocks: 2 ** 40,
          bfree: 2,
          bavail: 3,
          files: 4,
          ffree: 5,
          bsize: 4096,
          namelen: 255,
          frsize: 512,
        }),
    }),
    expected: [],
    reply: `
      0000000000010000  st.blocks 2^40
      0200000000000000  st.bfree
      0300000000000000  st.bavail
      0400000000000000  st.files
      0500000000000000  st.ffree
      00100000          st.bsize 4096
      ff000000          st.namelen 255
      00020000          st.frsize 512
      00000000          st.padding
      000000000000000000000000000000000000000000000000  st.spare`,
  },
  {
    operation: 'SYNCFS',
    request: '0000000000000000  padding',
    fileSystem: (call) => ({ syncfs: () => call([], OK) }),
    expected: [],
    reply: '',
    shorterIsLawful: 'the body is padding, which nobody reads',
  },
  {
    operation: 'ACCESS',
    request: `
      04000000  mask R_OK
      00000000  padding`,
    fileSystem: (call) => ({ access: (_, ...args) => call(args, OK) }),
    expected: [4],
    reply: '',
  },
  {
    operation: 'SETXATTR',
    case: 'FUSE_SETXATTR_EXT',
    request: `
      03000000    size
      02000000    flags XATTR_REPLACE
      01000000    setxattr_flags FUSE_SETXATTR_ACL_KILL_SGID
      00000000    padding
      "user.a\\0" name
      "abc"       value`,
    fileSystem: (call) => ({ setxattr: (_, ...args) => call(args, OK) }),
    expected: ['user.a\0', 'abc', 2, 1],
    reply: '',
  },
  {
    operation: 'GETXATTR',
    case: 'the value',
    request: `
      10000000     size 16
      00000000     padding
      "user.a\\0"  name`,
    fileSystem: (call) => ({ getxattr: (_, ...args) => call(args, Buffer.from('abc')) }),
    expected: ['user.a\0', 16],
    reply: '"abc"',
  },
  {
    operation: 'GETXATTR',
    case: 'the size',
    request: `
      00000000     size 0
      00000000     padding
      "user.a\\0"  name`,
    fileSystem: (call) => ({ getxattr: (_, ...args) => call(args, { size: 3 }) }),
    expected: ['user.a\0', 0],
    reply: `
      03000000  size
      00000000  padding`,
  },
  {
    operation: 'LISTXATTR',
    request: `
      10000000     size 16
      00000000     padding`,
    fileSystem: (call) => ({ listxattr: (_, ...args) => call(args, Buffer.from('user.a\0')) }),
    expected: [16],
    reply: '"user.a\\0"',
  },
  {
    operation: 'REMOVEXATTR',
    request: '"user.a\\0"  name',
    fileSystem: (call) => ({ removexattr: (_, ...args) => call(args, OK) }),
    expected: ['user.a\0'],
    reply: '',
  },
]
