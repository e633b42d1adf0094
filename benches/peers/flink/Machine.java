import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** What the operating system counts. */
final class Machine {
    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private Machine() {}

    /** CPU time of this process, all threads. */
    static double cpuSeconds() {
        return SYSTEM.getProcessCpuTime() / 1e9;
    }

    /** CPU time of the whole machine but for what was stolen or idle; 0 where it is not told. */
    static double busySeconds() throws IOException {
        try {
            String[] ticks = Files.readAllLines(Path.of("/proc/stat")).get(0).trim().split(" +");
            double busy = 0;
            for (int i : new int[] {1, 2, 3, 6, 7}) busy += Double.parseDouble(ticks[i]);
            return busy / 100;
        } catch (NoSuchFileException e) {
            return 0;
        }
    }

    /** The most memory that this process had resident, in bytes; 0 where it is not told. */
    static long peakResident() throws IOException {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("VmHWM:")) return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
            }
            return 0;
        } catch (NoSuchFileException e) {
            return 0;
        }
    }
}
