// Calls handler.js as Lambda does, with the part of an event that the handler reads. Run it with `npm start -- lambda`.
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
  // The output of a terminal may be copied and logged, so a real token must not appear in it.
  const shown = printsTokens || response.statusCode !== 200 ? response : { ...response, body: '(a token)' }
  console.log(JSON.stringify(shown, null, 2))
}
