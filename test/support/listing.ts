/** What `holdfast leases|pins|status --json` prints: one array of objects. */
import type { Sandbox } from './sandbox.js'

export type Row = Readonly<Record<string, unknown>>

export async function listing(box: Sandbox, ...args: string[]): Promise<Row[]> {
  const result = await box.holdfast(...args, '--json')
  if (result.code !== 0) throw new Error(`holdfast ${args.join(' ')} --json: ${JSON.stringify(result)}`)
  const rows: unknown = JSON.parse(result.stdout)
  if (!Array.isArray(rows)) throw new Error(`not an array: ${result.stdout}`)
  return rows as Row[]
}
