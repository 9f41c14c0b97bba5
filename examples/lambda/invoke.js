// Calls handler.js as Lambda does, with the part of an event that it reads. `npm start -- lambda` runs it.
import { handler } from './handler.js'

export async function run(vkit, args, { printsTokens }) {
  const event = {
    version: '2.0',
    rawPath: '/token',
    headers: { authorization: 'Bearer …' },
    requestContext: {
      http: { method: 'GET', path: '/token' },
      authorizer: { jwt: { claims: { sub: 'END_USER_ID' }, scopes: [] } },
    },
  }
  const response = await handler(event)
  // A terminal's text is copied and logged: a real token does not belong there.
  const shown = printsTokens || response.statusCode !== 200 ? response : { ...response, body: '(a token)' }
  console.log(JSON.stringify(shown, null, 2))
}
