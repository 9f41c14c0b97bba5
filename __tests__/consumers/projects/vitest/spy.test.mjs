import { VKitClient, VKitConnectionError, VKitError, VKitServerError } from '@video-io/videokit-nodejs'
import { expect, test, vi } from 'vitest'

vi.mock('@video-io/videokit-nodejs', { spy: true })

test('spies keep the errors', () => {
  const error = new VKitServerError('down')
  expect(error).toBeInstanceOf(VKitError)
  expect(error).toMatchObject({ code: 'VKIT_UNAVAILABLE', message: 'down' })
  expect([VKitError.is(error), VKitError.is(new Error('another error'))]).toEqual([true, false])
})

test('spies keep the errors of the client', async () => {
  const vkit = new VKitClient({ appSecret: 'secret', baseUrl: 'http://127.0.0.1:1', maxRetries: 0 })
  const error = await vkit.getSessionToken('user').catch(error => error)
  expect(error).toBeInstanceOf(Error)
  expect(error).toBeInstanceOf(VKitConnectionError)
  expect(error.toJSON()).toMatchObject({ name: 'VKitConnectionError', code: 'VKIT_CONNECTION' })
})
