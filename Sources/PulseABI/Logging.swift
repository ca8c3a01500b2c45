// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseFlow
import PulseProcess
import PulseText

@c @implementation
public func pulsews_log_stderr(_ level: Int32) -> Int32 {
  guard let level = LogLevel(rawValue: level) else { return StatusCode.invalidArgument.rawValue }
  Log.toStandardError(level)
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_log_file(
  _ path: UnsafePointer<CChar>?, _ level: Int32, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  guard let text = string(path), !text.hasNoBytes else {
    return fail(.invalidArgument, "path is NULL, empty or not UTF-8", error, errorSize)
  }
  guard let wanted = LogLevel(rawValue: level) else {
    return fail(.invalidArgument, sentence("level is \(level); allowed: 0 to 4"), error, errorSize)
  }
  guard let failure = Log.toFile(text, wanted) else { return StatusCode.ok.rawValue }
  return fail(failure.code, failure.text, error, errorSize)
}

@c @implementation
public func pulsews_log_queue(_ level: Int32, _ capacity: Int) -> Int32 {
  guard let level = LogLevel(rawValue: level), capacity >= 1, capacity <= 1_000_000 else {
    return StatusCode.invalidArgument.rawValue
  }
  Log.toQueue(level, capacity: capacity)
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_log_next(
  _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int, _ level: UnsafeMutablePointer<Int32>?,
  _ time: UnsafeMutablePointer<Int64>?, _ timeout: Int64
) -> Int64 {
  switch Log.next(timeout: timeout) {
  case .success(let line):
    level?.pointee = line.level.rawValue
    time?.pointee = line.time
    copySentence(line.text, buffer, size)
    return Int64(line.text.byteCount)
  case .failure(let failure):
    return Int64(failure.code.rawValue)
  }
}
