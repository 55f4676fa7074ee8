/** How the log writes single fields: flags by name, modes in octal, nodeids as `n2`. */
import * as flags from './wire/flags.js'

type FlagTable = Readonly<Record<string, number | bigint>>

/** arm64 numbers some O_* differently from x86-64 (arch/arm64/include/uapi/asm/fcntl.h, fcntl(2)). */
const isArm64 = process.arch === 'arm64'

const O_FLAGS: FlagTable = {
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_NOCTTY: 0o400,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  // O_SYNC contains the bit of O_DSYNC, so it comes first.
  O_SYNC: 0o4010000,
  O_DSYNC: 0o10000,
  O_DIRECT: isArm64 ? 0o200000 : 0o40000,
  O_LARGEFILE: isArm64 ? 0o400000 : 0o100000,
  O_DIRECTORY: isArm64 ? 0o40000 : 0o200000,
  O_NOFOLLOW: isArm64 ? 0o100000 : 0o400000,
  O_NOATIME: 0o1000000,
}
const ACCESS_MODES = ['O_RDONLY', 'O_WRONLY', 'O_RDWR', 'O_ACCMODE']

const RENAME_FLAGS = { RENAME_NOREPLACE: 1, RENAME_EXCHANGE: 2, RENAME_WHITEOUT: 4 }
const FALLOC_FLAGS = {
  FALLOC_FL_KEEP_SIZE: 1,
  FALLOC_FL_PUNCH_HOLE: 2,
  FALLOC_FL_COLLAPSE_RANGE: 8,
  FALLOC_FL_ZERO_RANGE: 16,
  FALLOC_FL_INSERT_RANGE: 32,
  FALLOC_FL_UNSHARE_RANGE: 64,
}

const lowInitFlags = Object.fromEntries(Object.entries(flags.INIT_FLAGS).filter(([, bit]) => bit < 1n << 32n))
const highInitFlags = Object.fromEntries(
  Object.entries(flags.INIT_FLAGS)
    .filter(([, bit]) => bit >= 1n << 32n)
    .map(([name, bit]) => [name, bit >> 32n]),
)

const FLAG_FIELDS: Readonly<Record<string, FlagTable>> = {
  'fuse_open_in.open_flags': flags.OPEN_IN_FLAGS,
  'fuse_create_in.open_flags': flags.OPEN_IN_FLAGS,
  'fuse_open_out.open_flags': flags.FOPEN_FLAGS,
  'fuse_setattr_in.valid': flags.FATTR_FLAGS,
  'fuse_getattr_in.getattr_flags': flags.GETATTR_FLAGS,
  'fuse_statx_in.getattr_flags': flags.GETATTR_FLAGS,
  'fuse_release_in.release_flags': flags.RELEASE_FLAGS,
  'fuse_read_in.read_flags': flags.READ_FLAGS,
  'fuse_write_in.write_flags': flags.WRITE_FLAGS,
  'fuse_fsync_in.fsync_flags': flags.FSYNC_FLAGS,
  'fuse_setxattr_in.setxattr_flags': flags.SETXATTR_FLAGS,
  'fuse_lk_in.lk_flags': flags.LOCK_FLAGS,
  'fuse_ioctl_in.flags': flags.IOCTL_FLAGS,
  'fuse_poll_in.flags': flags.POLL_FLAGS,
  'fuse_attr.flags': flags.ATTR_FLAGS,
  'fuse_rename2_in.flags': RENAME_FLAGS,
  'fuse_fallocate_in.mode': FALLOC_FLAGS,
  'fuse_init_in.flags': lowInitFlags,
  'fuse_init_in.flags2': highInitFlags,
  'fuse_init_out.flags': lowInitFlags,
  'fuse_init_out.flags2': highInitFlags,
}
const OPEN_MODE_FIELDS = new Set([
  'fuse_open_in.flags',
  'fuse_create_in.flags',
  'fuse_release_in.flags',
  'fuse_read_in.flags',
  'fuse_write_in.flags',
])
const NODEID_FIELDS = new Set(['nodeid', 'newdir', 'oldnodeid', 'nodeid_out'])
const OCTAL_FIELDS = new Set(['mode', 'umask'])
const HEX_FIELDS = new Set(['cmd', 'events', 'revents', 'mask'])
/** Signed where fuse.h or the kernel's use of the field says so. */
const SIGNED_FIELDS: Readonly<Record<string, number>> = {
  result: 32,
  backing_id: 32,
  atime: 64,
  mtime: 64,
  ctime: 64,
  'fuse_lseek_in.offset': 64,
}
/** Zero is an answer here: truncate to 0, read from 0, nothing ready. */
const SHOWN_ZEROS = new Set(['size', 'offset', 'length', 'result', 'revents', 'major', 'nlookup', 'count'])

/** `name=value`, or null if the value is a zero that says nothing. @param value The raw unsigned value. */
export function formatField(structName: string, name: string, value: bigint): string | null {
  const key = `${structName}.${name}`
  if (OPEN_MODE_FIELDS.has(key)) return `${name}=${formatOpenFlags(Number(value))}`
  if (value === 0n && !SHOWN_ZEROS.has(name)) return null
  const table = FLAG_FIELDS[key]
  if (table !== undefined) return `${name}=${formatFlags(value, table)}`
  if (NODEID_FIELDS.has(name)) return `${name}=n${value}`
  if (OCTAL_FIELDS.has(name)) return `${name}=0${value.toString(8)}`
  if (HEX_FIELDS.has(name)) return `${name}=0x${value.toString(16)}`
  const signedBits = SIGNED_FIELDS[key] ?? SIGNED_FIELDS[name]
  return `${name}=${signedBits === undefined ? value : BigInt.asIntN(signedBits, value)}`
}

/** Names joined by `|`; bits without a name in hexadecimal at the end. */
export function formatFlags(value: bigint, table: FlagTable): string {
  const names: string[] = []
  let rest = value
  for (const [name, flag] of Object.entries(table)) {
    const bits = BigInt(flag)
    if (bits === 0n || (rest & bits) !== bits) continue
    names.push(name)
    rest &= ~bits
  }
  if (rest !== 0n || names.length === 0) names.push(`0x${rest.toString(16)}`)
  return names.join('|')
}

/** The flags of open(2): the access mode, then the rest. */
export function formatOpenFlags(value: number): string {
  const accessMode = ACCESS_MODES[value & 3]
  const rest = BigInt(value) & ~3n
  return rest === 0n ? `${accessMode}` : `${accessMode}|${formatFlags(rest, O_FLAGS)}`
}
