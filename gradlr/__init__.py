__version__ = "0.1.0"

import warnings

# Of fastai's own import, on every page that trains; nothing that a reader could change
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
