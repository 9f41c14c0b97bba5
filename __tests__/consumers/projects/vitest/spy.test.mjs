import { VKitError, VKitServerError } from '@video-io/videokit-nodejs'
import { expect, test, vi } from 'vitest'

vi.mock('@video-io/videokit-nodejs', { spy: true })

test('spies keep the errors', () => {
  const error = new VKitServerError('down')
  expect(error).toBeInstanceOf(VKitError)
  expect(error).toMatchObject({ code: 'VKIT_UNAVAILABLE', message: 'down' })
  expect([VKitError.is(error), VKitError.is(new Error('another error'))]).toEqual([true, false])
})
