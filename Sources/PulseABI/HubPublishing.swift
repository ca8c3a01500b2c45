// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseFlow
import PulseHub
import PulseProcess
import PulseText
import PulseTopics
import PulseTransport

// Publishing, peers, requests.

/// A caller's text without a copy; nil for NULL.
@inline(never) private func raw(_ text: UnsafePointer<CChar>?) -> UnsafeRawBufferPointer? {
  guard let text else { return nil }
  var count = 0
  while text[count] != 0 { count &+= 1 }
  return UnsafeRawBufferPointer(start: text, count: count)
}

/// The bytes that a caller names; nil if there can't be so many.
@inline(never) private func payload(_ data: UnsafeRawPointer?, _ length: Int) -> UnsafeRawBufferPointer? {
  if length < 0 || (data == nil && length > 0) { return nil }
  return UnsafeRawBufferPointer(start: data, count: length)
}

@c @implementation
public func pulsews_hub_publish(
  _ handle: OpaquePointer?, _ topic: UnsafePointer<CChar>?, _ key: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?,
  _ length: Int, _ offset: UnsafeMutablePointer<UInt64>?
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let topic = raw(topic) else { return StatusCode.invalidArgument.rawValue }
    guard let bytes = payload(data, length) else { return length < 0 ? StatusCode.tooBig.rawValue : StatusCode.invalidArgument.rawValue }
    switch found.hub.publish(topic, raw(key), bytes, Stamps()) {
    case .success(let made):
      offset?.pointee = made
      return StatusCode.ok.rawValue
    case .failure(let problem): return problem.code.rawValue
    }
  case .problem(let code): return code
  }
}

@c @implementation
public func pulsews_hub_publish_batch(
  _ handle: OpaquePointer?, _ publications: UnsafePointer<pulsews_hub_publication>?, _ count: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let publications, count >= 0 else { return StatusCode.invalidArgument.rawValue }
    var taken: Int32 = 0
    while taken < count, taken < .max {
      let one = publications[Int(taken)]
      var code = StatusCode.invalidArgument
      if let topic = raw(one.topic), let bytes = payload(one.data, one.length) {
        let stamps = Stamps(exchange: one.exchange_ns, received: one.received_ns)
        switch found.hub.publish(topic, raw(one.key), bytes, stamps) {
        case .success: code = .ok
        case .failure(let problem): code = problem.code
        }
      }
      if code != .ok { return taken > 0 ? taken : code.rawValue }
      taken &+= 1
    }
    return taken
  case .problem(let code): return code
  }
}

@c @implementation
public func pulsews_hub_load(
  _ handle: OpaquePointer?, _ topic: UnsafePointer<CChar>?, _ publications: UnsafePointer<pulsews_hub_publication>?,
  _ count: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let topic = raw(topic), let publications, count >= 0 else { return StatusCode.invalidArgument.rawValue }
    for index in 0..<count {
      let one = publications[index]
      guard let bytes = payload(one.data, one.length) else { return StatusCode.invalidArgument.rawValue }
      let stamps = Stamps(exchange: one.exchange_ns, received: one.received_ns, published: one.published_ns)
      if let problem = found.hub.load(topic, raw(one.key), bytes, stamps, offset: one.offset) { return problem.code.rawValue }
    }
    return StatusCode.ok.rawValue
  case .problem(let code): return code
  }
}

@c @implementation
public func pulsews_hub_topic_json(
  _ handle: OpaquePointer?, _ topic: UnsafePointer<CChar>?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int64 {
  switch hub(handle) {
  case .hub(let found):
    guard let topic = raw(topic), let text = found.hub.topicJSON(topic) else { return Int64(StatusCode.invalidArgument.rawValue) }
    return copyBytes(text, buffer, size)
  case .problem(let code): return Int64(code)
  }
}

@c @implementation
public func pulsews_hub_topic_state(
  _ handle: OpaquePointer?, _ topic: UnsafePointer<CChar>?, _ state: Int32, _ cause: UnsafePointer<CChar>?
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let topic = raw(topic), state >= 0, state <= 255, let state = TopicState(rawValue: UInt8(state))
    else { return StatusCode.invalidArgument.rawValue }
    guard let cause = cause == nil ? [] : textBytes(cause) else { return StatusCode.notUTF8.rawValue }
    return found.hub.setState(topic, state, cause).rawValue
  case .problem(let code): return code
  }
}

@c @implementation
public func pulsews_hub_send(
  _ handle: OpaquePointer?, _ peer: UInt64, _ kind: UInt32, _ data: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let bytes = payload(data, length), kind == MessageCode.text || kind == MessageCode.binary else {
      return length < 0 ? StatusCode.tooBig.rawValue : StatusCode.invalidArgument.rawValue
    }
    return found.hub.send(peer, isText: kind == MessageCode.text, bytes).rawValue
  case .problem(let code): return code
  }
}

@c @implementation
public func pulsews_hub_close_peer(
  _ handle: OpaquePointer?, _ peer: UInt64, _ code: Int32, _ reason: UnsafePointer<CChar>?
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    let text = reason == nil ? [] : textBytes(reason)
    guard let text else { return StatusCode.notUTF8.rawValue }
    guard code > 0, code <= 4999, text.count <= 123 else { return StatusCode.invalidArgument.rawValue }
    return found.hub.close(peer, UInt16(truncatingIfNeeded: code), text).rawValue
  case .problem(let code): return code
  }
}

@c @implementation
public func pulsews_hub_subscribe(_ handle: OpaquePointer?, _ peer: UInt64, _ topic: UnsafePointer<CChar>?) -> Int32 {
  subscribe(handle, peer, topic, true)
}

@c @implementation
public func pulsews_hub_unsubscribe(_ handle: OpaquePointer?, _ peer: UInt64, _ topic: UnsafePointer<CChar>?) -> Int32 {
  subscribe(handle, peer, topic, false)
}

@inline(never)
private func subscribe(_ handle: OpaquePointer?, _ peer: UInt64, _ topic: UnsafePointer<CChar>?, _ wants: Bool) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let topic = raw(topic) else { return StatusCode.invalidArgument.rawValue }
    return found.hub.subscribe(peer, to: topic, wants).rawValue
  case .problem(let code): return code
  }
}

@c @implementation
public func pulsews_hub_answer(
  _ handle: OpaquePointer?, _ request: UInt64, _ status: Int32, _ headers: UnsafePointer<CChar>?,
  _ body: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    let lines = headers == nil ? [] : textBytes(headers)
    guard let lines else { return StatusCode.notUTF8.rawValue }
    guard let bytes = payload(body, length) else { return StatusCode.invalidArgument.rawValue }
    return found.hub.answer(request, Int(status), lines, Array(bytes)).rawValue
  case .problem(let code): return code
  }
}

@c @implementation
public func pulsews_hub_adopt(
  _ handle: OpaquePointer?, _ descriptor: Int32, _ first: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let bytes = payload(first, length) else { return StatusCode.invalidArgument.rawValue }
    return found.hub.adopt(descriptor, Array(bytes)).rawValue
  case .problem(let code): return code
  }
}
