/** The interface in numbers, for the tests of abi.ts and of the C header: neither can drift without the other. */
import * as abi from './abi.js'

/** Every field of every struct, as abi.ts reads and writes it: offset and size in bytes. */
export const LAYOUT = {
  lease: {
    id: [0, 8],
    start: [8, 8],
    length: [16, 8],
    mode: [24, 4],
    flags: [28, 4],
    state: [32, 4],
    pins: [36, 4],
    break_ms: [40, 4],
    reserved: [44, 20],
  },
  owner: { lease: [0, 8], op: [8, 4], signo: [12, 4], value: [16, 4], pid: [20, 4] },
  pin: { id: [0, 8], lease: [8, 8], start: [16, 8], length: [24, 8], count: [32, 4], reserved: [36, 4] },
  query: {
    start: [0, 8],
    length: [8, 8],
    op: [16, 4],
    error: [20, 4],
    lease: [24, 8],
    pid: [32, 4],
    reserved: [36, 4],
    command: [40, 16],
  },
  info: { version: [0, 4], features: [4, 4], mount: [8, 8], control: [16, 112] },
} as const

export const SIZES = {
  lease: abi.LEASE_SIZE,
  owner: abi.OWNER_SIZE,
  pin: abi.PIN_SIZE,
  query: abi.QUERY_SIZE,
  info: abi.INFO_SIZE,
}

/** What the header calls the numbers that abi.ts exports. */
export const CONSTANTS = {
  HOLDFAST_SETLEASE: abi.SETLEASE,
  HOLDFAST_RELEASE: abi.RELEASE,
  HOLDFAST_GETLEASE: abi.GETLEASE,
  HOLDFAST_SETOWN: abi.SETOWN,
  HOLDFAST_PIN: abi.PIN,
  HOLDFAST_UNPIN: abi.UNPIN,
  HOLDFAST_QUERY: abi.QUERY,
  HOLDFAST_INFO: abi.INFO,
  HOLDFAST_LEASE_READ: abi.MODE_READ,
  HOLDFAST_LEASE_WRITE: abi.MODE_WRITE,
  HOLDFAST_LEASE_EXCLUSIVE: abi.FLAG_EXCLUSIVE,
  HOLDFAST_LEASE_WAIT: abi.FLAG_WAIT,
  HOLDFAST_LEASE_START: abi.FLAG_START,
  HOLDFAST_LEASE_NOTIFY_ONLY: abi.FLAG_NOTIFY_ONLY,
  HOLDFAST_STATE_ACTIVE: abi.STATE_ACTIVE,
  HOLDFAST_STATE_BREAKING: abi.STATE_BREAKING,
  HOLDFAST_STATE_ZOMBIE: abi.STATE_ZOMBIE,
  HOLDFAST_STATE_REVOKED: abi.STATE_REVOKED,
  HOLDFAST_OWNER_ADD: abi.OWNER_ADD,
  HOLDFAST_OWNER_REMOVE: abi.OWNER_REMOVE,
  HOLDFAST_QUERY_TRUNCATE: 1,
  HOLDFAST_QUERY_PUNCH: 2,
  HOLDFAST_QUERY_ZERO: 3,
  HOLDFAST_FEATURE_PASSTHROUGH: abi.FEATURE_PASSTHROUGH,
  HOLDFAST_FEATURE_WAIT: abi.FEATURE_WAIT,
  HOLDFAST_FEATURE_START: abi.FEATURE_START,
  HOLDFAST_FEATURE_QUERY: abi.FEATURE_QUERY,
}
