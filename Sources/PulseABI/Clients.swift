// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseProcess
import PulseText

// The life of a client: create, open, send, receive, close, free.

@c @implementation
public func pulsews_client_create(
  _ url: UnsafePointer<CChar>?, _ configHandle: OpaquePointer?, _ loopHandle: OpaquePointer?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  out?.pointee = nil
  guard let out else { return fail(.invalidArgument, "client is NULL", error, errorSize) }
  guard url != nil else { return fail(.invalidArgument, "url is NULL", error, errorSize) }
  guard let text = string(url) else { return fail(.badURL, "the URL is not UTF-8", error, errorSize) }
  let config = config(configHandle) ?? Configuration()
  switch ClientFactory.make(url: text, config.settings, host: loop(loopHandle)?.host) {
  case .success(let client):
    out.pointee = makeHandle(client)
    return StatusCode.ok.rawValue
  case .failure(let problem):
    return fail(problem.code, problem.text, error, errorSize)
  }
}

@c @implementation
public func pulsews_start(_ handle: OpaquePointer?) -> Int32 {
  switch client(handle) {
  case .client(let client): client.start().rawValue
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_open(
  _ handle: OpaquePointer?, _ timeout: Int64, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    guard let failure = client.open(timeout: timeout) else { return StatusCode.ok.rawValue }
    return fail(failure.code, failure.text, error, errorSize)
  case .problem(let code):
    return noClient(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_send(
  _ handle: OpaquePointer?, _ kind: UInt32, _ data: UnsafeRawPointer?, _ length: Int, _ timeout: Int64
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    // A size_t above the largest Int arrives here as a negative number.
    guard length >= 0 else { return StatusCode.tooBig.rawValue }
    guard data != nil || length == 0 else { return StatusCode.invalidArgument.rawValue }
    return client.send(kind: kind, payload: UnsafeRawBufferPointer(start: data, count: length), timeout: timeout).rawValue
  case .problem(let code):
    return code
  }
}

@c @implementation
public func pulsews_recv(
  _ handle: OpaquePointer?, _ message: UnsafeMutablePointer<pulsews_message>?, _ timeout: Int64
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    guard let message else { return StatusCode.invalidArgument.rawValue }
    return client.receive(UnsafeMutableRawPointer(message), timeout: timeout)
  case .problem(let code):
    return code
  }
}

@c @implementation
public func pulsews_close(
  _ handle: OpaquePointer?, _ code: Int32, _ reason: UnsafePointer<CChar>?, _ timeout: Int64
) -> Int32 {
  switch client(handle) {
  case .client(let client):
    var bytes: [UInt8] = []
    if let reason {
      guard let text = string(reason) else { return StatusCode.notUTF8.rawValue }
      bytes = text.bytes
    }
    guard code == 0 || (code > 0 && code <= 4999 && ClientFactory.isCloseCode(UInt16(code))), bytes.count <= 123,
      code != 0 || bytes.isEmpty
    else { return StatusCode.invalidArgument.rawValue }
    return client.close(code: code == 0 ? nil : UInt16(code), reason: bytes, timeout: timeout, forGood: true).rawValue
  case .problem(let code):
    return code
  }
}

@c @implementation
public func pulsews_client_free(_ handle: OpaquePointer?) {
  guard case .client(let client) = client(handle) else { return }
  client.finish()
  Unmanaged.passUnretained(client).release()
}
