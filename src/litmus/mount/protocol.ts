/**
 * What the host and its agents say to each other: one JSON object a line. An agent knows no names of a scenario,
 * only numbers and paths; it does one command after the other, each a system call or a few.
 */

/** Bytes of an ioctl's argument, as hexadecimal digits. */
export type Hex = string

export type Command =
  | { readonly do: 'open'; readonly path: string; readonly flags: number }
  | { readonly do: 'dup'; readonly fd: number }
  | { readonly do: 'close'; readonly fd: number }
  | { readonly do: 'send'; readonly fd: number; readonly mailbox: string }
  /** Waits for a descriptor in the mailbox. */
  | { readonly do: 'receive' }
  /** `end: null` is the end of the file. The value is the mapping's number. */
  | { readonly do: 'map'; readonly fd: number; readonly start: number; readonly end: number | null }
  | { readonly do: 'unmap'; readonly mapping: number }
  | { readonly do: 'touch'; readonly mapping: number; readonly offset: number }
  /** `parentAt`: where the pid of the agent's parent is written into the argument. The value is the argument. */
  | {
      readonly do: 'ioctl'
      readonly fd: number
      readonly request: number
      readonly argument: Hex
      readonly parentAt?: number
    }
  | { readonly do: 'truncate'; readonly path: string; readonly sizeBytes: number }
  | { readonly do: 'ftruncate'; readonly fd: number; readonly sizeBytes: number }
  | {
      readonly do: 'fallocate'
      readonly fd: number
      readonly mode: number
      readonly offset: number
      readonly length: number
    }
  | { readonly do: 'write'; readonly fd: number; readonly offset: number; readonly countBytes: number }
  | { readonly do: 'read'; readonly fd: number; readonly offset: number; readonly countBytes: number }
  | {
      readonly do: 'copy'
      readonly from: number
      readonly fromOffset: number
      readonly to: number
      readonly toOffset: number
      readonly countBytes: number
    }
  | { readonly do: 'chmod'; readonly path: string; readonly mode: number }
  | { readonly do: 'chown'; readonly path: string; readonly uid: number }
  | { readonly do: 'rename'; readonly path: string; readonly to: string }
  | { readonly do: 'unlink'; readonly path: string }
  | { readonly do: 'poll'; readonly fd: number }
  | { readonly do: 'read-file'; readonly path: string }
  | { readonly do: 'write-file'; readonly path: string; readonly text: string }
  /** Says every line of a file as a `Told` as it comes, for ever. */
  | { readonly do: 'tell'; readonly path: string }
  | { readonly do: 'become'; readonly uid: number }
  | { readonly do: 'kill'; readonly pid: number; readonly signo: number }
  /**
   * The child says hello as agent `id`. With `apart` it leaves the session, in which anybody may send SIGCONT to
   * anybody, and becomes user `uid`.
   */
  | { readonly do: 'fork'; readonly id: string; readonly apart?: { readonly uid: number } }
  | { readonly do: 'exec' }
  | { readonly do: 'exit' }
  /** Answers with the signals that came. */
  | { readonly do: 'nothing' }
  /** Takes in the exits of children. */
  | { readonly do: 'reap' }

export interface SignalRecord {
  readonly signo: number
  readonly code: number
  readonly value: number
}

/** `errno` is 0 if it succeeded. */
export interface Answer {
  readonly say: 'answer'
  readonly errno: number
  readonly value: string
  readonly signals: readonly SignalRecord[]
}

/** The first thing an agent says on its connection; again after exec. */
export interface Hello {
  readonly say: 'hello'
  readonly id: string
  readonly pid: number
}

export interface Told {
  readonly say: 'told'
  readonly line: string
}

export type Said = Answer | Hello | Told

/** What an agent is started with: as it is, or as what it was before exec. */
export interface AgentStart {
  readonly directory: string
  readonly id: string
  readonly resumed: { readonly channel: number; readonly mailbox: number } | null
}

/** Where the host listens, below the directory that it shares with its agents. */
export function hostSocket(directory: string): string {
  return `${directory}/host`
}

/** Where an agent can be sent descriptors. */
export function mailboxOf(directory: string, id: string): string {
  return `${directory}/mailboxes/${id}`
}

/** Lines out of chunks. */
export class LineReader {
  readonly #decoder = new TextDecoder()
  #rest = ''

  take(bytes: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split('\n')
    this.#rest = lines.pop() ?? ''
    return lines.filter((line) => line !== '')
  }
}
