// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseProcess
import PulseText

// Staying connected: reconnect, readiness, holds, subscriptions, what changes between connects.

@c @implementation
public func pulsews_reconnect(_ handle: OpaquePointer?) -> Int32 {
  switch client(handle) {
  case .client(let client): client.reconnect().rawValue
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_disconnect(_ handle: OpaquePointer?, _ timeout: Int64) -> Int32 {
  switch client(handle) {
  case .client(let client): client.close(code: 1000, reason: [], timeout: timeout, forGood: false).rawValue
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_wait_ready(
  _ handle: OpaquePointer?, _ timeout: Int64, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch client(handle) {
  case .client(let client): result(client.waitReady(timeout: timeout), error, errorSize)
  case .problem(let code): noClient(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_release(_ handle: OpaquePointer?) -> Int32 {
  switch client(handle) {
  case .client(let client): client.release().rawValue
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_acknowledge(_ handle: OpaquePointer?, _ sequence: UInt64) -> Int32 {
  switch client(handle) {
  case .client(let client):
    client.acknowledge(sequence)
    return StatusCode.ok.rawValue
  case .problem(let code):
    return code
  }
}

@c @implementation
public func pulsews_set_header(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?,
  _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    guard name != nil else { return fail(.invalidArgument, "name is NULL", error, errorSize) }
    guard let nameText = string(name), value == nil || string(value) != nil else {
      return fail(.badValue, "the header is not UTF-8", error, errorSize)
    }
    return result(client.setHeader(nameText, string(value)), error, errorSize)
  case .problem(let code):
    return noClient(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_set_url(
  _ handle: OpaquePointer?, _ url: UnsafePointer<CChar>?, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    guard url != nil else { return fail(.invalidArgument, "url is NULL", error, errorSize) }
    guard let text = string(url) else { return fail(.badURL, "the URL is not UTF-8", error, errorSize) }
    return result(client.setURL(text), error, errorSize)
  case .problem(let code):
    return noClient(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_subscribe(
  _ handle: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ message: UnsafePointer<CChar>?,
  _ unsubscribe: UnsafePointer<CChar>?, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    guard key != nil else { return fail(.invalidArgument, "key is NULL", error, errorSize) }
    guard fits(key), fits(message), fits(unsubscribe) else {
      return fail(.noMemory, "there is no memory for the subscription", error, errorSize)
    }
    guard let keyText = string(key), message == nil || string(message) != nil,
      unsubscribe == nil || string(unsubscribe) != nil
    else { return fail(.notUTF8, "key, message or unsubscribe is not UTF-8", error, errorSize) }
    return result(
      client.subscribe(key: keyText.bytes, message: bytes(message), unsubscribe: bytes(unsubscribe)), error,
      errorSize)
  case .problem(let code):
    return noClient(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_unsubscribe(_ handle: OpaquePointer?, _ key: UnsafePointer<CChar>?) -> Int32 {
  switch client(handle) {
  case .client(let client):
    guard let key = bytes(key) else { return StatusCode.invalidArgument.rawValue }
    return client.unsubscribe(key: key).rawValue
  case .problem(let code):
    return code
  }
}

private func bytes(_ pointer: UnsafePointer<CChar>?) -> [UInt8]? { string(pointer).map { $0.bytes } }

private func result(_ failure: Failure?, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int) -> Int32 {
  guard let failure else { return StatusCode.ok.rawValue }
  return fail(failure.code, failure.text, error, errorSize)
}
