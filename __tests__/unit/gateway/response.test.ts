import { describe, expect, it } from '@jest/globals'
import { readAnswer } from '../../../lib/gateway/response.js'

const SECRET = '1b4e28ba-2fa1-41d2-883f-0016d3cca427'

function requestIdOf(id: string): unknown {
  try {
    const raw = { status: 400, headers: { 'x-request-id': id }, bytes: Buffer.alloc(0) }
    return readAnswer(raw, { secret: SECRET, place: () => 'the gateway', nowMs: 0 })
  } catch (error) {
    return (error as { requestId?: string }).requestId
  }
}

describe('the request id of a failure', () => {
  it.each(['req_42', 'a:b.c-d', '9f1c2a34-0000-4000-8000-00000000abcd'])('is told: %s', id => {
    expect(requestIdOf(id)).toBe(id)
  })

  it.each([
    ['the secret, which may be a UUID too', SECRET],
    ['the secret in capitals', SECRET.toUpperCase()],
    ['a long opaque text, which may be the secret encoded', 'a'.repeat(40)],
    ['no id by its looks', 'two words'],
    ['longer than any id', 'ab:'.repeat(30)],
  ])('is not told where it is %s', (_, id) => {
    expect(requestIdOf(id)).toBeUndefined()
  })
})
