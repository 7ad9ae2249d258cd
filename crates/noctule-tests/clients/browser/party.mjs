// One MQTT party over MQTT.js in a browser, and what the cases wait with.

// Every wait ends: a broker that does not answer fails the case instead of hanging it.
const patience = 20_000

export function inTime(promise, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited for ${what} in vain`)), patience)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

export function same(got, wanted, what) {
  const [left, right] = [got, wanted].map((value) => JSON.stringify(value))
  if (left !== right) throw new Error(`${what}: ${left} instead of ${right}`)
}

// The next event of a client of MQTT.js.
export function next(client, event) {
  return inTime(new Promise((resolve) => client.once(event, resolve)), `'${event}'`)
}

export class Party {
  // A connected client; what it receives waits in `messages`.
  static async connect(url, options) {
    const party = new Party()
    party.messages = []
    party.arrived = () => {}
    party.client = mqtt.connect(url, {
      reconnectPeriod: 0,
      connectTimeout: patience,
      ...options,
    })
    party.client.on('message', (topic, payload, { qos, retain }) => {
      party.messages.push({ topic, payload, qos, retain })
      party.arrived()
    })
    let fail
    const failure = new Promise((_, reject) => { fail = reject })
    party.client.once('error', fail)
    party.connack = await Promise.race([next(party.client, 'connect'), failure])
    party.client.off('error', fail)
    party.client.on('error', () => {})
    return party
  }

  async subscribe(topic, qos) {
    const [granted] = await inTime(this.client.subscribeAsync(topic, { qos }), 'a SUBACK')
    same(granted.qos, qos, `granted for ${topic}`)
  }

  // Ends when the hand-shake of the QoS is complete.
  publish(topic, payload, options) {
    return inTime(this.client.publishAsync(topic, payload, options), `the end of ${topic}`)
  }

  async next() {
    if (this.messages.length === 0) {
      await inTime(new Promise((resolve) => { this.arrived = resolve }), 'a message')
    }
    return this.messages.shift()
  }

  // The next message must be this text, at this QoS.
  async expect(text, qos, retain = false) {
    const message = await this.next()
    same([message.payload.toString(), message.qos, message.retain], [text, qos, retain], 'message')
  }

  // Bytes that are no packet: the broker cuts the connection.
  async provoke() {
    const closed = next(this.client, 'close')
    this.client.stream.write(new Uint8Array([0, 0]))
    await closed
  }

  // Comes back with the session that it left.
  async comeBack() {
    const connected = next(this.client, 'connect')
    this.client.reconnect()
    const { sessionPresent } = await connected
    same(sessionPresent, true, 'session present')
  }

  leave() {
    return inTime(this.client.endAsync(), 'the end of the connection')
  }
}
