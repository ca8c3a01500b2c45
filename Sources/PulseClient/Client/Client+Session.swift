// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// What the application sets for the sessions: subscriptions, holds, headers, the URL.
extension Client {
  package func subscribe(key: [UInt8], message: [UInt8]?, unsubscribe: [UInt8]?) -> Failure? {
    if message == nil && options.subscribeMessage == nil && !options.resume {
      return Failure(.invalidArgument, "message is NULL, and option subscribe_message, of which it would be made, is not set")
    }
    mutex.lock()
    defer { mutex.unlock() }
    if closing.hasBegun && closing.isForGood { return closedByCaller() }
    var failure: Failure?
    each { failure = failure ?? $0.subscribe(key: key, message: message, unsubscribe: unsubscribe) }
    return failure
  }

  package func unsubscribe(key: [UInt8]) -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    each { if $0.unsubscribe(key: key) { inbound.points?.forget(key) } }
    return .ok
  }

  /// The application has done its part.
  package func release() -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    if closing.hasBegun { return .closed }
    each { $0.release() }
    return .ok
  }

  // MARK: What changes between connects

  package func setHeader(_ name: String, _ value: String?) -> Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    var changed: [HTTPHeader] = []
    let wanted = lowercased(name)
    for header in headers where !equal(lowercased(header.name), wanted) { changed.append(header) }
    if let value {
      changed.append(HTTPHeader(name: name, value: ClientOptions.withoutBlanks(value.bytes[...])))
      if let problem = HeaderCheck.problem(changed) { return Failure(.badValue, text: problem) }
    }
    headers = changed
    each { $0.successor?.isOutdated = true }
    return nil
  }

  /// That of the first line; a twin keeps its own.
  package func setURL(_ text: String) -> Failure? {
    switch WebSocketURL.parse(text) {
    case .failure(let problem):
      return Failure(.badURL, text: problem.text)
    case .success(let url):
      mutex.lock()
      defer { mutex.unlock() }
      if url.isSecure != first.urls[0].isSecure {
        return Failure(.badURL, "the URL must stay with \(first.urls[0].isSecure ? "wss" : "ws")")
      }
      first.urls[0] = url
      first.successor?.isOutdated = true
      return nil
    }
  }
}
