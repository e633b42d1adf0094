import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/** What the tasks of the running job write down for the measuring thread: cluster and meter share one process. */
final class Board {
    /** Subtasks at most. */
    static final int SUBTASKS = 16;

    /** A cache line apart, so that sinks do not slow each other down. */
    private static final int STRIDE = 16;

    private static final VarHandle CELL = MethodHandles.arrayElementVarHandle(long[].class);
    private static final long[] seen = new long[SUBTASKS * STRIDE];

    /** The totals that each sink subtask had at its end: records, sum. */
    static final long[][] finals = new long[SUBTASKS][];

    /** The record of subtask 0 that fails; 0 for none. */
    static volatile long failAt;

    static final AtomicBoolean failed = new AtomicBoolean();
    static volatile long failedAtNanos;

    /** When the first record after the failure was processed; 0 before. */
    static final AtomicLong firstAfterNanos = new AtomicLong();

    private Board() {}

    static synchronized void clear(long failingRecord) {
        for (int i = 0; i < SUBTASKS; i++) show(i, 0);
        Arrays.fill(finals, null);
        failAt = failingRecord;
        failed.set(false);
        failedAtNanos = 0;
        firstAfterNanos.set(0);
    }

    /** A sink subtask has seen so many records. */
    static void show(int subtask, long records) {
        CELL.setOpaque(seen, subtask * STRIDE, records);
    }

    /** How many records all sink subtasks have seen. */
    static long total() {
        long sum = 0;
        for (int i = 0; i < SUBTASKS; i++) sum += (long) CELL.getOpaque(seen, i * STRIDE);
        return sum;
    }

    static synchronized void finish(int subtask, long records, long sum) {
        finals[subtask] = new long[] {records, sum};
    }

    static synchronized long[] totals() {
        long[] all = new long[2];
        for (long[] one : finals) {
            if (one == null) continue;
            all[0] += one[0];
            all[1] += one[1];
        }
        return all;
    }
}
