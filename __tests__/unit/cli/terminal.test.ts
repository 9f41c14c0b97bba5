import { describe, expect, it } from '@jest/globals'
import { paint, printable, quote, toJson } from '../../../lib/cli/terminal.js'
import { formatSeconds } from '../../../lib/cli/token/progress.js'

describe('terminal output', () => {
  it.each([
    [0, '0 s'],
    [59.4, '59 s'],
    [125, '2 min 5 s'],
    [3_725, '1 h 2 min'],
  ])('shows %d seconds as %s', (seconds, text) => expect(formatSeconds(seconds)).toBe(text))

  it('has colours only where Node says so', () => {
    const stream = (isTTY: boolean, hasColors: boolean): Parameters<typeof paint>[2] => ({
      isTTY,
      hasColors: () => hasColors,
    })
    expect(paint('text', 'red', stream(true, true))).toBe('\u001b[31mtext\u001b[0m')
    expect(paint('text', 'red', stream(true, false))).toBe('text')
    expect(paint('text', 'red', stream(false, true))).toBe('text')
  })

  it('contains no control sequences', () => {
    expect(quote('a\u001b[2J\u009b1m\u202e"\n')).toBe('"a\\u001b[2J\\u009b1m\\u202e\\"\\n"')
  })

  const unsafe = [
    ...Array.from({ length: 32 }, (_, code) => code),
    ...Array.from({ length: 33 }, (_, i) => 0x7f + i),
    ...[0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069],
    ...[0x206a, 0x206f, 0xfff9, 0xfffa, 0xfffb],
  ].map(code => String.fromCharCode(code))

  it.each(unsafe)('escapes %j in text and in JSON', character => {
    const code = character.charCodeAt(0).toString(16).padStart(4, '0')
    expect(printable(`a${character}b`)).toBe(`a\\u${code}b`)
    const json = toJson({ found: `a${character}b` })
    expect(json).not.toContain(character)
    expect(JSON.parse(json)).toEqual({ found: `a${character}b` })
  })

  it('does not change printable text in any script', () => {
    const text = 'çağla 日本 שלום 🙂 "\\" \u200d'
    expect(printable(text)).toBe(text)
    expect(toJson(['a', text], 2)).toBe(JSON.stringify(['a', text], null, 2))
  })
})
