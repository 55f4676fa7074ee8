/** What the listings print with `--json`. */
import type { Sandbox } from './sandbox.js'

export type Row = Readonly<Record<string, unknown>>

export async function listing(box: Sandbox, ...args: string[]): Promise<Row[]> {
  const result = await box.holdfast(...args, '--json')
  if (result.code !== 0) throw new Error(`holdfast ${args.join(' ')} --json: ${JSON.stringify(result)}`)
  const rows: unknown = JSON.parse(result.stdout)
  if (!Array.isArray(rows)) throw new Error(`not an array: ${result.stdout}`)
  return rows as Row[]
}

/** The mounts that `holdfast status` tells. */
export async function statusMounts(box: Sandbox): Promise<Row[]> {
  const result = await box.holdfast('status', '--json')
  if (result.code !== 0) throw new Error(`holdfast status --json: ${JSON.stringify(result)}`)
  const { mounts } = JSON.parse(result.stdout) as { mounts: Row[] }
  return mounts
}
