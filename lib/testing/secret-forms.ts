/** One encoding of a secret. */
export interface SecretForm {
  readonly name: string
  readonly text: string
}

const SHORTEST_PART = 16

/** Returns all common encodings of `secret`, and of the parts that are enough to identify it. */
export function formsOf(secret: string): SecretForm[] {
  const parts = distinctivePartsOf(secret).flatMap(part => encodingsOf(part, 'part of it, '))
  return [...encodingsOf(secret, ''), ...parts].filter(({ text }) => text !== '')
}

export function findForm(forms: readonly SecretForm[], text: string): SecretForm | undefined {
  return forms.find(form => text.includes(form.text))
}

/** Returns the signature of a JWT, because other JWTs may share the other parts. Otherwise, returns both halves. */
function distinctivePartsOf(secret: string): string[] {
  const segments = secret.split('.')
  const middle = Math.ceil(secret.length / 2)
  const parts = segments.length === 3 ? segments.slice(2) : [secret.slice(0, middle), secret.slice(middle)]
  return parts.filter(part => part.length >= SHORTEST_PART)
}

function encodingsOf(text: string, prefix: string): SecretForm[] {
  const bytes = Buffer.from(text)
  const hex = bytes.toString('hex')
  const pairs = hex.match(/../g) ?? []
  const percent = encodeURIComponent(text)
  const base64 = [0, 1, 2].map(offset => base64Inside(bytes, offset))
  const named: Record<string, readonly string[]> = {
    plain: [text, JSON.stringify(text).slice(1, -1)],
    base64: [...base64, ...base64.map(each => each.replaceAll('+', '-').replaceAll('/', '_'))],
    hex: [hex, hex.toUpperCase(), pairs.join(' '), pairs.join(':')],
    'percent-encoded': [percent, ...[percent, pairs.map(pair => `%${pair}`).join('')].flatMap(inBothCases)],
    'a list of bytes': [bytes.join(','), bytes.join(', ')],
  }
  return Object.entries(named).flatMap(([name, texts]) =>
    [...new Set(texts)].map(each => ({ name: prefix + name, text: each })),
  )
}

/** The base64 text that depends only on `bytes` if they start at `offset` (modulo 3) of a longer text: `user:secret`. */
function base64Inside(bytes: Buffer, offset: number): string {
  const padded = Buffer.concat([Buffer.alloc(offset), bytes])
  const text = padded.toString('base64').replace(/=+$/, '')
  return text.slice([0, 2, 3][offset], padded.length % 3 === 0 ? undefined : -1)
}

function inBothCases(percent: string): string[] {
  const to = (change: (escape: string) => string): string => percent.replace(/%[0-9A-Fa-f]{2}/g, change)
  return [to(escape => escape.toUpperCase()), to(escape => escape.toLowerCase())]
}
