import type { WriteStream } from 'node:tty'

/** Colour where a person looks on, unless they said that they want none (https://no-color.org). */
export function wantsColour(stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'
}

const CODES = { green: 32, yellow: 33, red: 31, cyan: 36, dim: 2 } as const
export type Colour = keyof typeof CODES

export function paint(text: string, colour: Colour, stream: Pick<WriteStream, 'isTTY'>): string {
  return wantsColour(stream) ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text
}

/** A line for a person, on standard error: standard output is for what was asked for. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}

export function warn(line: string): void {
  tell(`${paint('warning', 'yellow', process.stderr)}: ${line}`)
}

export function complain(line: string): void {
  tell(`${paint('error', 'red', process.stderr)}: ${line}`)
}

/** Text of somebody else's, fit for a terminal: quoted, and without anything that the terminal would obey. */
export function quote(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`
}
