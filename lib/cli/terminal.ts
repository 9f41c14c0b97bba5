import type { WriteStream } from 'node:tty'
import { EXIT, fileError } from './exit-codes.js'

const CODES = { green: 32, yellow: 33, red: 31, cyan: 36, dim: 2 } as const
export type Colour = keyof typeof CODES

/** Colours `text` on a terminal, unless NO_COLOR is set (https://no-color.org): Node reads that variable. */
export function paint(text: string, colour: Colour, stream: Pick<WriteStream, 'isTTY' | 'hasColors'>): string {
  return stream.isTTY && stream.hasColors() ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text
}

/** Control characters, and characters that reorder or hide text, or break lines. */
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]/gu

/** Escapes each unsafe character of `text` as `\u…`, including line feeds. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escapeCharacter)
}

/** Converts `value` to equivalent JSON that is safe to print. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNSAFE, found => (found === '\n' ? found : escapeCharacter(found)))
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Writes an untrusted line, escaped, after a trusted `label` that may contain colours. */
export function writeLine(stream: NodeJS.WritableStream, line: string, label = ''): void {
  stream.write(`${label}${printable(line)}\n`)
}

/** Writes messages to standard error. Standard output is only for the result of a command. */
export function printInfo(...lines: readonly string[]): void {
  for (const line of lines) writeLine(process.stderr, line)
}

export function printWarning(line: string): void {
  writeLine(process.stderr, line, `${paint('warning', 'yellow', process.stderr)}: `)
}

export function printError(line: string, ...more: readonly string[]): void {
  writeLine(process.stderr, line, `${paint('error', 'red', process.stderr)}: `)
  printInfo(...more)
}

/** Quotes and escapes untrusted text. */
export function quote(text: string): string {
  return toJson(text)
}

export function formatNumber(n: number): string {
  return Math.round(n).toLocaleString('en')
}

export function count(n: number, one: string): string {
  return `${formatNumber(n)} ${one}${n === 1 ? '' : 's'}`
}

/** The exit code of a process that SIGPIPE ended. Node ignores that signal. */
const BROKEN_PIPE = 141

/** The exit code for a failed write to the output. */
export function exitCodeForOutput(error: Error): number {
  return (error as NodeJS.ErrnoException).code === 'EPIPE' ? BROKEN_PIPE : EXIT.file
}

/** Watches for output errors. A closed pipe (`| head`) ends the process silently; other errors are printed. */
export function watchOutput(): { readonly exitCode: number | undefined } {
  const state: { exitCode: number | undefined } = { exitCode: undefined }
  process.stdout.on('error', (error: Error) => {
    if (state.exitCode !== undefined) return
    state.exitCode = exitCodeForOutput(error)
    process.exitCode = state.exitCode
    if (state.exitCode !== BROKEN_PIPE) printError(fileError('Cannot write the output', error).message)
  })
  // Without standard error, the process has no place to report this.
  process.stderr.on('error', () => undefined)
  return state
}
